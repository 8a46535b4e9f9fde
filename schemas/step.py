"""What a method is: a frozen model whose fields are its whole configuration, and a coroutine over one row."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from .digest import digest
from .llm import LLM
from .tables import Named, Row


class Step(BaseModel):
    """The fields of a step are its configuration, its form, its entry in a recipe and its fingerprint.

    A subclass names what it reads and writes, and the fields that hold the names of its engines, in the order in which
    `__call__` takes the models. It has no state: thousands of rows run through it at once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    consumes: ClassVar[type[Named]]
    produces: ClassVar[tuple[type[Row], ...]]
    engines: ClassVar[tuple[str, ...]] = ("engine",)
    opens_user_turn: ClassVar[bool] = False  # its first engine must be able to speak for the user
    prompts: ClassVar[tuple[str, ...]] = ()  # shipped prompts that it sends: their text is part of the fingerprint

    async def __call__(self, *row_and_llms: Any, **_: Any) -> Sequence[Row]:  # a subclass names its row and its models
        """What one row becomes. A failure is a `Drop` or a score without a value, never an exception for a model's fault."""
        raise NotImplementedError

    def steers(self) -> bool:
        """Whether it opens user turns under a system prompt, which not every template has a place for."""
        return False

    def id_of(self, llm: LLM, *parts: str | int) -> str:
        """The id of a row that this step makes with this model: lineage, and nothing about shards or workers."""
        return digest(self._fingerprint, llm.model, llm.revision, list(parts))

    @cached_property
    def _fingerprint(self) -> str:
        return digest(self)  # once: a row's id must not cost a dump of the whole configuration
