"""The recipe: one object describes one dataset. It is the parameter of the flow, the form in Prefect's UI and the YAML file.

Steps stand in it as themselves (`method: magpie`): the unions below are the only list of methods there is.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Literal, get_args, get_type_hints

import yaml
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
from ..schemas.digest import digest, seed_of
from ..schemas.errors import PlainError
from ..schemas.step import Step
from .append import EDITIONS, Append
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


class RecipeError(PlainError, ValueError):
    """A recipe that cannot be run. The message lists every fault, each with the field, the value and the remedy."""


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

    def edition(self, name: str) -> Recipe:
        """The recipe for another run of its kind: a folder and a seed of its own, both told by the edition's name."""
        told = {**self.model_dump(mode="json"), "name": f"{self.name}-{name}", "seed": seed_of(self.seed, name) % 2**31}
        if self.append is not None and self.append.to == EDITIONS:
            told["append"]["of"] = self.append.of or self.name
        return parse(told)

    def fingerprint(self) -> str:
        """A digest of the whole recipe."""
        return digest(self)


def engines_of(step: Step) -> list[str]:
    """The engines that a step names, in the order in which it takes them."""
    return [getattr(step, field) for field in step.engines]


def load(path: Path, settings: list[str] | None = None) -> Recipe:
    """Read a recipe from YAML, with `path.to.key=value` settings laid over it, and check all that can be checked.

    Raises:
        RecipeError: with every fault at once.
    """
    tree = _read(path, ())
    for setting in settings or []:
        _lay(tree, setting)
    return parse(tree, path.parent)


def _read(path: Path, seen: tuple[Path, ...]) -> dict:
    """A recipe's keys, laid over those of the recipe that it `extends`."""
    if not path.is_file():
        near = ", ".join(sorted(p.name for p in path.parent.glob("*.yaml")))
        raise RecipeError(f"no recipe {path}; name a YAML file{f': beside it there is {near}' if near else ''}")
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not YAML: {error}") from error
    if not isinstance(tree, dict):
        raise RecipeError(f"{path} holds a {type(tree).__name__}, expected keys such as name, engines and generate")
    if (other := tree.pop("extends", None)) is None:
        return tree
    if not isinstance(other, str) or (path.parent / other).resolve() in seen:
        raise RecipeError(f"{path}: extends: {other!r}: expected the name of another recipe file, in no circle")
    if (path.parent / other).parent.resolve() != path.parent.resolve():
        raise RecipeError(f"{path}: extends: {other!r}: name a recipe of the same folder, so that relative paths mean the same")
    return _over(_read(path.parent / other, (*seen, path.resolve())), tree)


def _over(below: dict, above: dict) -> dict:
    """Joined keys; another `method` is another thing, and takes no settings over."""
    if above.get("method", below.get("method")) != below.get("method"):
        return above
    joined = {key: _over(below[key], value) for key, value in above.items() if _both_hold_keys(below.get(key), value)}
    return {**below, **above, **joined}


def _both_hold_keys(one: object, other: object) -> bool:
    return isinstance(one, dict) and isinstance(other, dict)


def of_run(run: Path) -> Recipe:
    """The recipe that a run's folder was made by.

    Raises:
        RecipeError: if the folder is no run, or was renamed.
    """
    recipe = load(run / "recipe.yaml")
    if recipe.name != run.resolve().name:
        raise RecipeError(
            f"{run} holds the run of {recipe.name!r}; name the folder so again, or build it elsewhere with --runs"
        )
    return recipe


def parse(tree: dict, folder: Path = Path()) -> Recipe:
    """A recipe from plain values. A model path that exists relative to the recipe's folder is meant so, and a source of seeds or logs.

    Raises:
        RecipeError: with every fault at once.
    """
    tree.pop("format", None)  # of a recipe that a run wrote down
    _root(tree, folder)
    try:
        recipe = Recipe.model_validate(tree)
    except ValidationError as error:
        raise RecipeError("the recipe has faults:\n" + "\n".join(f"  {line}" for line in _faults(error))) from error
    faults = [f"  engines.{name}.{fault}" for name, spec in recipe.engines.items() for fault in spec.faults()]
    for step in [] if faults else [step for step in recipe.steps() if step.opens_user_turn]:
        name = engines_of(step)[0]
        faults += [f"  engines.{name}.{fault}" for fault in recipe.engines[name].user_turn_faults(step.steers())]
    if faults:
        raise RecipeError("the recipe has faults:\n" + "\n".join(faults))
    return recipe


def _root(tree: dict, folder: Path) -> None:
    """Make absolute what names a file or a folder that is there, seen from the recipe's folder."""
    for engine in tree.get("engines", {}).values() if isinstance(tree.get("engines"), dict) else ():
        _root_keys(engine, ("model", "tokenizer"), folder, Path.is_dir)
    _root_keys(tree.get("generate"), ("seeds", "metadata", "logs"), folder, Path.is_file)
    _root_keys(tree.get("append"), ("to",), folder, lambda path: path.name != EDITIONS and path.exists())


def _root_keys(part: object, keys: tuple[str, ...], folder: Path, there: Callable[[Path], bool]) -> None:
    for key in keys if isinstance(part, dict) else ():
        if isinstance(part, dict) and isinstance(part.get(key), str) and there(folder / part[key]):
            part[key] = str((folder / part[key]).resolve())


def _lay(tree: dict, setting: str) -> None:
    path, equals, value = setting.partition("=")
    if not equals or not path:
        raise RecipeError(f"--set {setting!r}: expected path.to.key=value")
    *parents, last = path.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise RecipeError(f"--set {setting!r}: {parent!r} is a value and has no keys")
    tree[last] = yaml.safe_load(value)


def _faults(error: ValidationError) -> Iterator[str]:
    for fault in error.errors():
        place = ".".join(str(part) for part in fault["loc"] if part not in _TAGS)
        if fault["type"] == "extra_forbidden":
            key = str(fault["loc"][-1])
            near = difflib.get_close_matches(key, _keys(), n=1)
            yield f"{place}: unknown key{f'; did you mean {near[0]!r}?' if near else ''}"
        elif fault["type"] == "missing":
            yield f"{place}: missing, and it has no default"
        else:
            shown = repr(fault["input"])
            value = f" {shown if len(shown) < 80 else shown[:77] + '...'}:" if not isinstance(fault["input"], dict) else ""
            yield f"{place or 'recipe'}:{value} {fault['msg'].removeprefix('Value error, ')}"


# pydantic puts the chosen member of a union into the path
_TAGS = {
    "vllm", "endpoint", "fake", "magpie", "magpie_turns", "codeclm", "wildfeedback", "isheep", "sft", "dpo",
    "independent", "negatively_correlated", "verbalized", "regenerated", "dpp",
    "pointwise", "aspects", "pairwise", "reward", "reward_difference", "bleu", "ensemble",
    "best_worst", "best_random", "all_pairs", "by_policy", "length_matched",
}  # fmt: skip


def _keys() -> list[str]:
    """Every key that may stand in a recipe, for the nearest right name."""
    seen: list[str] = []
    models: list[type[BaseModel]] = [Recipe]
    while models:
        model = models.pop()
        seen += model.model_fields
        for hint in get_type_hints(model).values():
            models += [part for part in _parts(hint) if isinstance(part, type) and issubclass(part, BaseModel)]
    return seen


def _parts(hint: object) -> Iterator[object]:
    yield hint
    for part in get_args(hint):
        yield from _parts(part)


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
