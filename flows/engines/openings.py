"""How a model is written to, beyond its own chat template: what a user may set, and the table of exceptions that ships."""

from __future__ import annotations

import datetime
from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from ...schemas.digest import Plain, digest

TABLE = Path(__file__).resolve().parents[2] / "data" / "templates" / "exceptions.yaml"


class Opening(BaseModel):
    """One entry of `data/templates/exceptions.yaml`, which explains the fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    contains: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    default_system: Literal["keep", "omit"] = "keep"
    pre_query: str | None = None
    ban_first: tuple[str, ...] = ()
    why: str

    def fits(self, template: str) -> bool:
        """Whether the entry is meant for a chat template without being named."""
        return (
            bool(self.contains)
            and all(part in template for part in self.contains)
            and not any(part in template for part in self.lacks)
        )


PLAIN = Opening(name="template", why="the model's own chat template, as it stands")


class TemplateSpec(BaseModel):
    """How conversations are written for a model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str | None = Field(None, description="a Jinja file to use instead of the tokenizer's own chat template")
    thinking: bool | None = Field(None, description="ask the template for thinking or for none; default: its own default")
    today: datetime.date = Field(
        datetime.date(2026, 1, 1), description="the day that templates print which print one; fixed, so that runs repeat"
    )
    opening: str | None = Field(None, description="an entry of data/templates/exceptions.yaml; default: the one that fits")

    def identity(self) -> dict[str, Plain]:
        """What can change an answer: the settings, the file's text, and the table's entries."""
        text = Path(self.file).read_text(encoding="utf-8") if self.file and Path(self.file).is_file() else ""
        return {**self.model_dump(mode="json", exclude={"file"}), "file": digest(text), "table": digest(*table())}

    def faults(self) -> list[str]:
        """What is wrong, found without a model."""
        faults = []
        if self.file and not Path(self.file).is_file():
            faults.append(f"template.file: no file {self.file}; name a Jinja file, or leave it out for the tokenizer's own")
        known = [PLAIN.name, *(entry.name for entry in table())]
        if self.opening and self.opening not in known:
            faults.append(f"template.opening: no entry {self.opening!r} in {TABLE.name}; there is {', '.join(known)}")
        return faults

    def chosen(self, template: str) -> Opening:
        """The entry that is named, else the first one that fits a chat template, else none of them.

        Raises:
            ValueError: if the named entry does not exist.
        """
        if faults := self.faults():
            raise ValueError("; ".join(faults))
        entries = (PLAIN, *table())
        if self.opening:
            return next(entry for entry in entries if entry.name == self.opening)
        return next((entry for entry in entries if entry.fits(template)), PLAIN)


@cache
def table() -> tuple[Opening, ...]:
    """The entries that ship, in order."""
    return tuple(Opening(**entry) for entry in yaml.safe_load(TABLE.read_text(encoding="utf-8")))
