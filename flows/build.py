"""The line, from a recipe to a dataset. This file is its table of contents.

generate -> clean -> append -> tag -> choose -> answer -> judge -> pair -> publish -> train
"""

from __future__ import annotations

import importlib.metadata
from contextlib import ExitStack
from datetime import UTC, datetime
from math import inf
from pathlib import Path

import polars as pl
from prefect import flow
from prefect.runtime import flow_run
from rich.console import Console

from ..filters import rules
from ..filters.choose import Choose
from ..filters.language import languages
from ..schemas.digest import digest, seed_of
from ..schemas.manifest import Part, RunManifest
from ..schemas.tables import Chat, Drop, Preference, Score, Seed, frame, rows
from ..selectors.duplicates import exact
from . import codeclm, environment, export, export_more, isheep, wildfeedback
from .answers import candidates, decisive, scored
from .append import Published, lacking
from .cluster import Fleet
from .ledger import Ledger
from .lineage import NOT_RUN
from .logs import logged
from .made import Made, as_drops
from .magpie_set import magpie_set
from .methods import CodecLM, ISheep, WildFeedback
from .pilot import pilot
from .progress import summary
from .published import VECTORS, published
from .recipe import Clean, Recipe
from .recipe_file import edition_of
from .release import Destination, release, write_report
from .release import told as told_of
from .stage import Line, Sieve, code_of, content
from .store import RunFolder
from .training.spec import EXPORT, AnyTuning
from .training.stage import trainable, trained

Exported = tuple[dict[str, list[Part]], dict[str, export.Skipped]]
ROWS_PER_FILE = 100_000  # of an export: files of some hundred MB at usual lengths


@flow(name="build", flow_run_name="{recipe.name}", validate_parameters=True, persist_result=False)
def build(
    recipe: Recipe, runs: Path = Path("runs"), retry: bool = False, edition: str = "", publish: Destination | None = None
) -> Path:
    """Make the dataset that the recipe describes, reusing whatever an earlier run has finished. Returns the run's folder.

    With `retry`, rows that an engine failed on in an earlier run are run again. An `edition` is a pattern for the time that the run was
    scheduled for, in UTC, such as %Y-%m-%d: each edition is a run of its own, with other rows. With `publish`, the run is released.
    """
    environment.prepare(quiet=False)  # a worker's process has not been through the command line
    environment.end_orphans()
    if edition:
        recipe = edition_of(recipe, _scheduled_for().strftime(edition))
    console = Console()
    with RunFolder(runs / recipe.name) as folder, Fleet(recipe.engines, recipe.cluster) as fleet, ExitStack() as stack:
        folder.claim(recipe.model_dump(mode="json"))
        stack.enter_context(logged(folder.path, recipe.name))
        line = Line(recipe, folder, fleet, console, retry=retry)
        if recipe.append is not None:
            line.published = Published(published(recipe.append, recipe.name, runs, folder.path), runs / VECTORS)
        if recipe.train is not None:
            trainable(recipe.train.engine, recipe.engines[recipe.train.engine])  # before anything is generated for it
        line.ledger = Ledger(recipe.budget, pilot(line, run))
        exported = run(line)
        if recipe.train is not None:
            train(line, recipe.train)
            finish(line, *exported)
        write_report(folder.path)
        summary([manifest for _, manifest in line.finished], line.reused, console, line.ledger.stopped)
        if publish is not None:
            done = release(folder.path, publish.repo, licence=publish.licence, private=publish.private)
            console.print(told_of(done))
    return folder.path


def _scheduled_for() -> datetime:
    """When this run was to start: the same for every try of it, however late."""
    return (flow_run.scheduled_start_time or datetime.now(UTC)).astimezone(UTC)


def run(line: Line) -> Exported:
    """The line itself, from prompts to a finished dataset."""
    recipe = line.recipe
    made = generated(line)
    prompts = line.sieve("clean", Chat, made.prompts, {"clean": recipe.clean.model_dump(mode="json")}, cleaned_by(recipe.clean))
    prompts = new(line, prompts)
    if made.answers is None or made.scores is None:
        prompts = chosen(line, prompts)
        answers = candidates(line, recipe.answer, prompts)
        told = scored(line, recipe.judge, prompts, answers)
        scores = told.filter(pl.col("name") == decisive(recipe.judge))
    else:
        answers = made.answers.filter(pl.col("prompt").is_in(prompts["id"].to_list()))
        scores = told = made.scores.filter(pl.col("about").is_in(answers["id"].to_list()))
    paired_by = {"pair": recipe.pair.model_dump(mode="json"), "scores": content(scores)}
    pairs = line.sieve("pair", Preference, answers, paired_by, lambda table: recipe.pair(table, scores))
    if (most := recipe.budget.rows) is not None:
        pairs = line.sieve("budget", Preference, pairs, {"rows": most}, lambda table: first(table, most))
    exported = export_all(line, prompts, answers, scores, told, pairs)
    finish(line, *exported)
    return exported


def generated(line: Line) -> Made:
    """What the recipe's generator makes: of one step the prompts, of a method of several stages what it hands over."""
    match line.recipe.generate:
        case CodecLM() as method:
            return codeclm.make(method, line)
        case WildFeedback() as method:
            return wildfeedback.make(method, line)
        case ISheep() as method:
            return isheep.make(method, line)
        case step:
            return Made(line.spread("generate", step, seeds(line.recipe, step.rows))[Chat])


def seeds(recipe: Recipe, count: int) -> pl.DataFrame:
    """A seed for each row to be generated: an id and a source of chance that depend on nothing but recipe and ordinal."""
    return frame(
        Seed,
        (Seed(digest("seed", recipe.seed, i), i, seed_of(recipe.seed, recipe.name, i), []) for i in range(count)),
    )


def cleaned_by(clean: Clean) -> Sieve:
    """Rules about the last turn, then duplicates: what passes, and what does not with the reason."""

    def sieve(table: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        text = pl.col("turns").list.last().struct.field("content")
        judged = [
            rules.cut_off() if name == "cut_off" else getattr(rules, name)(text, **settings)
            for name, settings in clean.rules.items()
        ]
        kept, broken = rules.partition(table, *judged)
        dropped = [broken.with_columns(detail=pl.lit(""))]
        if clean.duplicates == "exact":
            key = text.str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()
            first = pl.col("id").first().over(key)
            twice = kept.with_columns(detail="same text as " + first).filter(pl.col("id") != first)
            dropped.append(twice.with_columns(reason=pl.lit("duplicate")).select(dropped[0].columns))
            kept = kept.filter(pl.col("id") == first)
        return kept, as_drops("clean", pl.concat(dropped))

    return sieve


def new(line: Line, prompts: pl.DataFrame) -> pl.DataFrame:
    """The prompts that repeat nothing of what is published."""
    append, there = line.recipe.append, line.published
    if append is None or there is None:
        return prompts

    def sieve(table: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        kept, dropped = append(table, there)
        return kept, as_drops("append", dropped)

    line.console.print(f"append: {there.prompts.height:,} prompts are published already")
    made_from = {"append": append.model_dump(mode="json"), "code": code_of(exact), "published": content(there.prompts)}
    return line.sieve("append", Chat, prompts, made_from, sieve)


def chosen(line: Line, prompts: pl.DataFrame) -> pl.DataFrame:
    """The prompts that are worth answering, by what a model and lingua say of them."""
    recipe = line.recipe
    if recipe.tag is None and recipe.choose == Choose():
        return prompts
    said = [frame(Score, [])] if recipe.tag is None else [line.spread("tag", recipe.tag, prompts)[Score]]
    if recipe.choose.languages:
        said.append(languages(prompts))
    scores = pl.concat(said)
    choose = filling(line)

    def sieve(table: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        kept, dropped = choose(table, scores)
        return kept, as_drops("choose", dropped.with_columns(detail=pl.lit("")))

    return line.sieve("choose", Chat, prompts, {"choose": choose.model_dump(mode="json"), "scores": content(scores)}, sieve)


def filling(line: Line) -> Choose:
    """The recipe's choice; its shares, where it says so, are those of what earlier runs lack."""
    append, choose, there = line.recipe.append, line.recipe.choose, line.published
    if append is None or there is None or not append.quotas or choose.rows is None:
        return choose
    counts = dict(there.prompts.group_by("category").len().iter_rows())
    return choose.model_copy(update={"shares": lacking(choose.shares, choose.rows, counts)})


def first(pairs: pl.DataFrame, most: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The first `most` pairs, and the others."""
    over = rows(Preference, pairs.slice(most))
    return pairs.head(most), frame(Drop, (Drop(pair.id, "budget", NOT_RUN, f"{most} pairs were wanted", "") for pair in over))


def export_all(
    line: Line, prompts: pl.DataFrame, answers: pl.DataFrame, scores: pl.DataFrame, told: pl.DataFrame, pairs: pl.DataFrame
) -> Exported:
    """Write the exports. `scores` are those that decide, `told` is all that the judges said. Returns their files, and what they skipped."""
    wanted = line.recipe.export
    good, bad = line.recipe.thresholds() or (inf, -inf)  # asked for only where there are some

    def policy() -> str:
        return wanted.policy or line.recipe.policy()

    made = {
        "default": lambda: export.default(prompts, answers, pairs),
        "unpaired": lambda: export.unpaired(prompts, answers, scores, hi=good, lo=bad),
        "sft": lambda: export.sft(prompts, answers, scores),
        "candidates": lambda: export.candidates(prompts, answers, told),
        "reward_augmented": lambda: export_more.reward_augmented(prompts, answers, pairs, wanted.goals),
        "infalign": lambda: export_more.infalign(prompts, answers, scores, policy=policy()),
        "listwise": lambda: export_more.listwise(prompts, answers, scores),
        "magpie": lambda: magpie_set(line, prompts, answers, scores, wanted.magpie_set()),
        "d2o": lambda: export_more.d2o(prompts, answers, below(scores, bad), policy=policy(), k=wanted.self_samples),
    }
    parts: dict[str, list[Part]] = {}
    skipped: dict[str, export.Skipped] = {}
    for name in line.recipe.configs():
        table, skipped[name] = made[name]()
        parts[name] = line.folder.publish(name, table, ROWS_PER_FILE)
    return parts, skipped


def train(line: Line, tuning: AnyTuning) -> None:
    """Train the engine's model on its export. The dataset is finished by then, whatever becomes of the training."""
    spec = trainable(tuning.engine, line.recipe.engines[tuning.engine])
    rows = pl.read_parquet(line.folder.path / "dataset" / EXPORT[tuning.method] / "*.parquet")
    model = trained(line, "train", tuning, spec, rows, f"{Path(spec.name).name}-{tuning.method}")
    line.console.print(f"model: {model.folder}")


def finish(line: Line, parts: dict[str, list[Part]], skipped: dict[str, export.Skipped]) -> None:
    """Write the run's manifest: all that is done so far is done."""
    line.folder.finish(
        RunManifest(
            name=line.recipe.name,
            recipe=line.recipe.fingerprint(),
            versions={p: importlib.metadata.version(p) for p in ("rookery", "ray", "prefect", "polars", "transformers")},
            stages=[stage.path.name for stage, _ in line.finished],
            exports=parts,
            skipped=skipped,
            stopped=line.ledger.stopped,
        )
    )


def below(scores: pl.DataFrame, most: float) -> list[str]:
    """Ids of what is scored `most` or less: dispreferred by the judge alone."""
    return scores.filter(pl.col("value") <= most)["about"].to_list()
