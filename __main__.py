"""The command line, `rookery`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from .flows import environment

environment.prepare()  # before any command imports Prefect, Ray or vLLM

from .flows.select_cli import compare_selectors, select
from .flows.serve_cli import serve
from .flows.template_cli import template
from .schemas.errors import PlainError

app = typer.Typer(
    help="Rookery raises alignment data: a model in, a preference dataset that trains with TRL out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)

RecipeFile = Annotated[Path, typer.Argument(help="recipe, a YAML file", metavar="RECIPE")]
Settings = Annotated[
    list[str],
    typer.Option("--set", help="change one key of the recipe: path.to.key=value; may be repeated", metavar="KEY=VALUE"),
]
Runs = Annotated[Path, typer.Option("--runs", help="folder that holds the runs", metavar="DIR")]
Verbose = Annotated[bool, typer.Option("--verbose", help="show the logs of Prefect, Ray and vLLM")]


@app.command()
def build(recipe: RecipeFile, setting: Settings = [], runs: Runs = Path("runs"), verbose: Verbose = False) -> None:  # noqa: B006
    """Make the dataset of a recipe. Run it again after a crash: what is finished is reused."""
    environment.prepare(quiet=not verbose)
    from .flows import build as line

    with _plain_errors():
        from .flows.recipe_file import load

        path = line.build(load(recipe, setting), runs)
        typer.echo(f"dataset: {path / 'dataset'}\nlook at it: rookery show {path}")


@app.command()
def preview(
    recipe: RecipeFile,
    rows: Annotated[int, typer.Option(min=1, help="prompts to generate")] = 8,
    setting: Settings = [],  # noqa: B006
    verbose: Verbose = False,
) -> None:
    """Run a recipe on a few rows; print what comes out, and what all of its rows would give and cost. Writes nothing."""
    environment.prepare(quiet=not verbose)
    import tempfile

    from .flows import build as line
    from .flows import show as shown

    with _plain_errors(), tempfile.TemporaryDirectory(prefix="rookery-preview-") as aside:
        from .flows.ledger import extrapolated
        from .flows.pilot import learned, shrunk
        from .flows.recipe_file import load

        whole = load(recipe, setting)
        few = shrunk(whole, rows)
        path = line.build(few, Path(aside))
        shown.show(path, rows)
        typer.echo("\n".join(extrapolated(learned(path, few.generate.rows or rows), whole.generate.rows)))


@app.command()
def retry(
    run: Annotated[Path, typer.Argument(help="folder of a run", metavar="RUN")],
    verbose: Verbose = False,
) -> None:
    """Run the rows again on which an engine failed or died, or a step raised; all else of the run stays."""
    environment.prepare(quiet=not verbose)
    from .flows import build as line

    with _plain_errors():
        from .flows.recipe_file import of_run

        typer.echo(f"dataset: {line.build(of_run(run), run.parent, retry=True) / 'dataset'}")


@app.command()
def show(
    run: Annotated[Path, typer.Argument(help="folder of a finished run", metavar="RUN")],
    rows: Annotated[int, typer.Option(min=1, help="pairs to print")] = 10,
    dropped: Annotated[bool, typer.Option("--dropped", help="print dropped rows and why, instead of pairs")] = False,
) -> None:
    """Print a run's pairs side by side, or what was dropped and why."""
    from .flows import show as shown

    with _plain_errors():
        (shown.show_dropped if dropped else shown.show)(run, rows)


@app.command()
def watch(
    run: Annotated[Path, typer.Argument(help="folder of a run, at work or not", metavar="RUN")],
    once: Annotated[bool, typer.Option("--once", help="print the table once")] = False,
) -> None:
    """Show how far each stage of a run is, from any terminal that sees its folder; Ctrl-C ends the watching, not the run."""
    from .flows import watch as watching

    with _plain_errors():
        try:
            watching.watch(run, once=once)
        except KeyboardInterrupt:
            return


@app.command()
def report(run: Annotated[Path, typer.Argument(help="folder of a finished run", metavar="RUN")]) -> None:
    """Write report.html anew: the funnel, the scores, the judge, pairs and drops, on one page that needs no network."""
    from .flows import release

    with _plain_errors():
        typer.echo(f"report: {release.write_report(run)}")


@app.command()
def doctor() -> None:
    """Check versions that clash, GPUs, the engine, the Hub and the disk; each fault with its remedy."""
    environment.prepare()
    from .flows.doctor import examine

    raise typer.Exit(0 if examine() else 1)


@app.command()
def publish(
    run: Annotated[Path, typer.Argument(help="folder of a finished run", metavar="RUN")],
    repo: Annotated[str, typer.Argument(help="dataset repository on the Hub: owner/name", metavar="REPO")],
    licence: Annotated[str, typer.Option(help="licence of the data, such as cc-by-4.0; those of the models may bind you")],
    public: Annotated[bool, typer.Option("--public", help="private is the default")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be pushed, push nothing")] = False,
) -> None:
    """Release a run to the Hugging Face Hub: card, report and data in one commit, and a tag."""
    environment.prepare()
    from .flows import release

    with _plain_errors():
        typer.echo(release.told(release.release(run, repo, licence=licence, private=not public, dry_run=dry_run)))


@app.command()
def rank_writers(
    prompts: Annotated[Path, typer.Argument(help="Parquet of Chat rows: the prompts")],
    answers: Annotated[Path, typer.Argument(help="Parquet of Answer rows: the writers' answers")],
    own: Annotated[Path, typer.Argument(help="Parquet of Answer rows: the target model's own answers")],
    model: Annotated[str, typer.Option(help="the target model: a folder or a name on the Hub")],
    correct: Annotated[Path | None, typer.Option(help="ids of the own answers that are right, one a line")] = None,
    examples: Annotated[int, typer.Option(min=1, help="own answers shown before each judged one")] = 3,
    most: Annotated[int, typer.Option(min=1, help="prompts to look at")] = 100,
) -> None:
    """Rank writers of answers by how well their style suits a target model (self-aligned perplexity)."""
    environment.prepare()
    from .flows import rank_writers as ranking

    with _plain_errors():
        typer.echo(ranking.command(prompts, answers, own, model, correct=correct, examples=examples, most=most))


app.command()(serve)
app.command()(template)
app.command()(select)
app.command(name="compare-selectors")(compare_selectors)


class _plain_errors:
    """Errors that were written for a reader are printed as they are, without a traceback."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, PlainError | FileNotFoundError):
            _fail(str(error))
        if isinstance(error, KeyboardInterrupt):
            _fail("stopped; what is finished stays, the same command goes on from there")


def _fail(message: str) -> NoReturn:
    typer.secho(message, fg="red", err=True)
    raise SystemExit(1)


if __name__ == "__main__":
    app()
