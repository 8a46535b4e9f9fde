"""Recipes from files and plain values: what extends what, settings laid over, paths, and every fault at once in words for a reader."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args, get_type_hints

import yaml
from pydantic import BaseModel, ValidationError

from ..schemas.digest import seed_of
from ..schemas.errors import PlainError
from .append import EDITIONS
from .recipe import Recipe, engines_of


class RecipeError(PlainError, ValueError):
    """A recipe that cannot be run. The message lists every fault, each with the field, the value and the remedy."""


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


def edition_of(recipe: Recipe, name: str) -> Recipe:
    """The recipe for another run of its kind: a folder and a seed of its own, both told by the edition's name.

    Raises:
        RecipeError: if the name cannot be a folder's.
    """
    told = {**recipe.model_dump(mode="json"), "name": f"{recipe.name}-{name}", "seed": seed_of(recipe.seed, name) % 2**31}
    if recipe.append is not None and recipe.append.to == EDITIONS:
        told["append"]["of"] = recipe.append.of or recipe.name
    return parse(told)


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
