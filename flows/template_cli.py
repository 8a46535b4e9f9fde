"""`rookery template MODEL`: the pieces of a model's chat template, and the self-test of the model as a Magpie."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..schemas.template import TemplateError
from .engines.openings import TemplateSpec
from .engines.spec import VllmSpec
from .engines.tokens import Chatter, tokenizer_of
from .template_check import Finding, of_model, of_template

Model = Annotated[str, typer.Argument(help="a model's folder, or its name on the Hub", metavar="MODEL")]
Revision = Annotated[str | None, typer.Option("--revision", help="revision on the Hub")]
File = Annotated[str | None, typer.Option("--file", help="a Jinja file in place of the tokenizer's chat template")]
Named = Annotated[str | None, typer.Option("--opening", help="an entry of data/templates/exceptions.yaml")]
Thinking = Annotated[bool | None, typer.Option("--thinking/--no-thinking", help="ask the template for thinking, or for none")]
Rows = Annotated[int, typer.Option("--rows", min=0, help="user turns to try with the model; 0: look at the template alone")]
Window = Annotated[int | None, typer.Option("--window", help="the engine's window, tokens; default: the model's own")]


def template(
    model: Model,
    rows: Rows = 64,
    revision: Revision = None,
    file: File = None,
    opening: Named = None,
    thinking: Thinking = None,
    window: Window = None,
) -> None:
    """Show how a model's template opens a user's turn, and try whether the model speaks as a user there."""
    console = Console()
    settings = TemplateSpec(file=file, opening=opening, thinking=thinking)
    spec = VllmSpec(model=model, revision=revision, template=settings, enforce_eager=True, max_model_len=window)
    try:
        if faults := spec.faults():
            raise ValueError("; ".join(faults))
        chatter = chatter_of(model, revision, settings)
        show(console, chatter)
        findings = of_template(chatter)
    except (TemplateError, ValueError, OSError) as error:
        console.print(Text(f"{model}: {error}", style="red"), soft_wrap=True)
        raise typer.Exit(1) from error
    if rows:
        llm = spec.build()
        findings += asyncio.run(of_model(llm, rows))
        llm.close()
    report(console, findings)
    if not all(finding.good for finding in findings):
        raise typer.Exit(1)


def chatter_of(model: str, revision: str | None, settings: TemplateSpec) -> Chatter:
    """The tokenizer's way of writing, without the model."""
    return Chatter(tokenizer_of(model, revision), Path(model).name, settings)


def show(console: Console, chatter: Chatter) -> None:
    """Print the pieces."""
    pieces, quiet = chatter.pieces, chatter.without_thinking()
    ids, texts = chatter.user_stops()
    names = {token_id: token for token, token_id in chatter.special.items()}
    rows = {
        "pre-query": pieces.pre_query,
        "pre-query, as it is used": chatter.pre_query(),
        "default system turn": pieces.default_system or None,
        "pre-query, steered": pieces.steered,
        "pre-query, mid-conversation": pieces.follow_up,
        "user's header": pieces.user_header,
        "end of turn": pieces.end_of_turn,
        "answer opens with": pieces.answer_opening,
        "answer without thinking": quiet.answer_opening if quiet.answer_opening != pieces.answer_opening else None,
        "entry of the table": f"{chatter.opening.name}: {chatter.opening.why}",
        "banned first tokens": ", ".join(map(repr, chatter.opening.ban_first)) or None,
        "stop ids": ", ".join(f"{token_id} {names.get(token_id, '')}" for token_id in ids),
        "stop texts": ", ".join(map(repr, texts)) or None,
    }
    table = Table("piece", "text", title=chatter.name, title_justify="left")
    for name, text in rows.items():
        shown = "none" if text is None else text if name in ("entry of the table", "stop ids", "stop texts") else repr(text)
        table.add_row(name, Text(shown, style="dim" if text is None else ""))
    console.print(table)


def report(console: Console, findings: list[Finding]) -> None:
    """Print what was found, with a remedy for what is not good."""
    table = Table("looked at", "found", "", "remedy")
    for one in findings:
        mark = Text("good", style="green") if one.good else Text("bad", style="red")
        table.add_row(one.name, Text(one.figure), mark, Text("" if one.good else one.remedy))
    console.print(table)
