"""The recipe: one object describes one dataset. It is the parameter of the flow, the form in Prefect's UI and the YAML file.

Steps stand in it as themselves (`method: magpie`): the unions below are the only list of methods there is.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterator
from typing import Annotated, Literal, get_type_hints

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from ..filters import rules
from ..filters.choose import Choose
from ..filters.judge import Pointwise
from ..filters.magpie_sets import NAMED, MagpieSet
from ..filters.taggers import MagpieTags
from ..generators.candidates import Independent
from ..generators.goals import Goals
from ..generators.magpie import Magpie
from ..generators.magpie_turns import MagpieTurns
from ..generators.pairs import AnyPairing, BestWorst
from ..schemas.digest import digest
from ..schemas.step import Step
from .append import Append
from .budget import Budget
from .engines.spec import AnySpec
from .methods import AnyCandidates, AnyJudge, CodecLM, ISheep, WildFeedback
from .training.spec import EXPORT, AnyTuning

AnyGenerator = Magpie | MagpieTurns | CodecLM | WildFeedback | ISheep
Generator = Annotated[AnyGenerator, Field(discriminator="method", description="where prompts come from")]


def _default(method: str) -> BeforeValidator:
    """Where no method is named, this one is meant."""
    return BeforeValidator(lambda given: {"method": method, **given} if isinstance(given, dict) else given)


Judge = Annotated[AnyJudge, _default("pointwise"), Field(description="how an answer is scored")]
Pairing = Annotated[AnyPairing, _default("best_worst"), Field(description="which two answers become a pair")]
Candidates = Annotated[
    tuple[Annotated[AnyCandidates, _default("independent")], ...],
    BeforeValidator(lambda given: given if isinstance(given, list | tuple) else [given]),
    Field(min_length=1, description="how candidate answers are drawn; a list draws in several ways, or from several models"),
]
Config = Literal["default", "unpaired", "sft", "candidates", "reward_augmented", "infalign", "listwise", "d2o", "magpie"]


# Judges with a scale of their own: from which score an answer is good, and up to which it is bad.
SCALES = {"pointwise": (4.0, 2.0), "aspects": (4.0, 2.0), "pairwise": (0.75, 0.25), "bleu": (0.8, 0.2)}


class Clean(BaseModel):
    """What a prompt must pass before it is answered."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rules: dict[str, dict[str, bool | int | float | str]] = Field(
        default={"cut_off": {}, "too_short": {"chars": 8}, "leaked_template": {}, "role_leak": {}, "repetition": {}},
        description="rules of filters/rules.py by name, with their settings",
    )
    duplicates: Literal["exact", "keep"] = Field("exact", description="exact: case and white space aside, the first one stays")

    @field_validator("rules")
    @classmethod
    def _known(cls, given: dict[str, dict]) -> dict[str, dict]:
        faults = [fault for name, settings in given.items() for fault in _rule_faults(name, settings)]
        if faults:
            raise ValueError("; ".join(faults))
        return given


class Exports(BaseModel):
    """What is written, as configurations of one dataset."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    configs: tuple[Config, ...] = Field(("default", "unpaired", "sft", "candidates"), min_length=1)
    good: float | None = Field(None, description="unpaired: this score or more is labelled true; default: by the judge's scale")
    bad: float | None = Field(
        None, description="unpaired, d2o: this score or less is labelled false; default: by the judge's scale"
    )
    goals: Goals = Field(Goals(), description="reward_augmented: how goals are written")
    policy: str | None = Field(None, description="infalign, d2o: model whose samples are the policy's own; default: the first")
    magpie: str | MagpieSet = Field(MagpieSet(), description="magpie: which rows stay; a set's name, or settings of your own")
    self_samples: int = Field(11, ge=1, description="d2o: samples of the policy beside each dispreferred answer")

    @field_validator("magpie")
    @classmethod
    def _known(cls, given: str | MagpieSet) -> str | MagpieSet:
        if isinstance(given, str) and given not in NAMED:
            raise ValueError(f"no Magpie set of this name; there is {', '.join(NAMED)}")
        return given

    def magpie_set(self) -> MagpieSet:
        """The set's rules."""
        return NAMED[self.magpie] if isinstance(self.magpie, str) else self.magpie


class Recipe(BaseModel):
    """One dataset, from engines to exports."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="also the name of the run's folder")
    seed: int = Field(0, ge=0, description="same recipe and seed, same bytes")
    engines: dict[str, AnySpec] = Field(min_length=1, description="models by the name that steps call them")
    generate: Generator
    clean: Clean = Clean()
    append: Append | None = Field(None, description="what is published already, which this run adds to and does not repeat")
    tag: MagpieTags | None = Field(None, description="what a model says of the prompts, for `choose` and the dataset")
    choose: Choose = Field(Choose(), description="which tagged prompts are answered")
    answer: Candidates = (Independent(),)
    judge: Judge = Pointwise()
    pair: Pairing = BestWorst()
    export: Exports = Exports()
    budget: Budget = Field(Budget(), description="when to stop, and what engines cost")
    train: AnyTuning | None = Field(None, description="a model to train on what was exported, at the end")
    shard_rows: int = Field(512, ge=1, description="rows to a part of a stage; what is in the dataset does not depend on it")
    cluster: str | None = Field(None, description="address of a Ray cluster; default: one on this machine, for this run")

    @model_validator(mode="after")
    def _engines_named(self) -> Recipe:
        missing = sorted({name for step in self.steps() for name in engines_of(step)} - set(self.engines))
        if missing:
            raise ValueError(f"engines: no engine {', '.join(missing)}, which a step names; there is {', '.join(self.engines)}")
        return self

    @model_validator(mode="after")
    def _quotas_have_shares(self) -> Recipe:
        if self.append is None or not self.append.quotas:
            return self
        wanting = {"tag": self.tag is None, "choose.shares": not self.choose.shares, "choose.rows": self.choose.rows is None}
        if missing := [key for key, absent in wanting.items() if absent]:
            raise ValueError(f"append.quotas: filling quotas needs {' and '.join(missing)}; name them, or leave quotas out")
        return self

    @model_validator(mode="after")
    def _budget_fits(self) -> Recipe:
        if faults := self.budget.faults(list(self.engines)):
            raise ValueError("; ".join(faults))
        return self

    @model_validator(mode="after")
    def _training_has_rows(self) -> Recipe:
        if self.train is None:
            return self
        if self.train.engine not in self.engines:
            raise ValueError(f"train.engine: no engine {self.train.engine}; there is {', '.join(self.engines)}")
        if (export := EXPORT[self.train.method]) not in self.export.configs:
            raise ValueError(
                f"train: {self.train.method} takes the export {export!r}, which is not among export.configs; add it"
            )
        return self

    def steps(self) -> Iterator[Step]:
        """The steps that ask a model, in order. A method of several stages answers and judges by itself."""
        if not isinstance(self.generate, Step):
            yield from self.generate.steps()
            return
        yield self.generate
        yield from () if self.tag is None else (self.tag,)
        for part in (*self.answer, self.judge):
            yield from (part,) if isinstance(part, Step) else part.steps()

    @model_validator(mode="after")
    def _labels_need_thresholds(self) -> Recipe:
        needing = [name for name in self.export.configs if name in ("unpaired", "d2o")]
        if needing and self.thresholds() is None and self.export.configs != Exports.model_fields["configs"].default:
            raise ValueError(
                f"export: {' and '.join(needing)} need `good` and `bad`, since scores of judge {self.judge.method} have no fixed scale; "
                "name both, or leave these configurations out"
            )
        return self

    def configs(self) -> list[Config]:
        """The configurations to write: those of the defaults that need thresholds only where there are any."""
        return [name for name in self.export.configs if name not in ("unpaired", "d2o") or self.thresholds() is not None]

    def thresholds(self) -> tuple[float, float] | None:
        """Scores from which an answer is good, and up to which it is bad; None for a judge without a fixed scale."""
        good, bad = SCALES.get(self.judge.method, (None, None))
        good = good if self.export.good is None else self.export.good
        bad = bad if self.export.bad is None else self.export.bad
        return None if good is None or bad is None else (good, bad)

    def policy(self) -> str:
        """The model whose samples stand for the policy's own where an export needs them: the first that answers."""
        way = self.answer[0]
        return self.engines[way.engine if isinstance(way, Step) else way.draw.engine].name

    def fingerprint(self) -> str:
        """A digest of the whole recipe."""
        return digest(self)


def engines_of(step: Step) -> list[str]:
    """The engines that a step names, in the order in which it takes them."""
    return [getattr(step, field) for field in step.engines]


def _rule_faults(name: str, settings: dict) -> Iterator[str]:
    known = {n: r for n, r in inspect.getmembers(rules, inspect.isfunction) if _judges_a_text(r)}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        yield f"no rule {name!r}{f'; did you mean {near[0]!r}?' if near else ''}"
        return
    rule = known[name]
    wanted = {n: p for n, p in inspect.signature(rule).parameters.items() if p.kind is p.KEYWORD_ONLY}
    hints = get_type_hints(rule)
    for key in settings.keys() - wanted.keys():
        yield f"rule {name} has no setting {key!r}; it has {', '.join(wanted) or 'none'}"
    for key, parameter in wanted.items():
        if key not in settings and parameter.default is parameter.empty:
            yield f"rule {name} needs {key!r}"
        elif key in settings:
            try:
                TypeAdapter(hints[key]).validate_python(settings[key])
            except ValidationError:
                yield f"rule {name}: {key} is {settings[key]!r}, expected {hints[key].__name__}"


def _judges_a_text(function: Callable) -> bool:
    """Whether a function of filters/rules.py is a rule about a row's text, or about how it ended."""
    first = next(iter(inspect.signature(function).parameters), "")
    return function.__module__ == rules.__name__ and first in {"text", "finish"}
