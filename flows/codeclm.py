"""CodecLM as stages of the line: seeds -> metadata -> rubrics -> rounds of decoding and contrast until the quota is full.

Wang et al., arXiv:2404.05875. The steps are in `generators/codeclm_metadata.py` and `generators/codeclm.py`; here is the order,
and what concerns the pool as a whole: the paper asks for a total and drops what stays under theta, so instructions are
decoded in rounds until enough are accepted, or `most_rounds` are done. Accepted rows are taken from all entries in turn, so
that cutting at the quota does not favour the first use cases.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from ..generators.codeclm import acceptance, assignments
from ..generators.codeclm_metadata import Entry, enlarge, entries_of
from ..generators.codeclm_parse import similarity
from ..schemas.digest import digest, seed_of
from ..schemas.tables import Answer, Chat, Drop, Note, Score, Seed, frame
from ..schemas.tables import rows as rows_of
from .durable import write
from .made import Made, take
from .methods import CodecLM
from .readers import metadata, seeds
from .stage import Line, Tables, content


def make(method: CodecLM, line: Line) -> Made:
    """Run the stages. Beside the dataset, `codeclm.json` tells the acceptance per round and the drift of use cases."""
    if line.recipe.engines[method.contrast.strong] == line.recipe.engines[method.contrast.target]:
        line.console.print("codeclm: strong and target are the same model, so almost no gap will exceed theta")
    pool, wanted = _pool(method, line)
    entries = [entry.row(i, seed_of(line.recipe.seed, entry.id)) for i, entry in enumerate(pool)]
    notes = line.spread("rubrics", method.rubrics, frame(Seed, entries))[Note]
    actions = [note for note in rows_of(Note, notes) if note.kind == "action"]

    rounds: list[Tables] = []
    basics: list[Chat] = []
    accepted = 0
    while entries and accepted < method.rows and len(rounds) < method.most_rounds:
        fresh = _decoded(method, line, entries, basics, len(rounds) + 1)
        tried = frame(Seed, assignments(fresh, entries, actions))
        rounds.append(line.spread(f"contrast-{len(rounds) + 1}", method.contrast, tried))
        basics += fresh
        accepted += _won(rounds[-1]).height
    tables: Tables = {kind: pl.concat([frame(kind, []), *(made[kind] for made in rounds)]) for kind in (Chat, Answer, Score)}
    kept = _quota(method, line, tables, basics)
    _report(line, tables[Score], wanted, _use_cases(kept, basics, pool))
    return Made(kept, tables[Answer], tables[Score].filter(pl.col("name") == "contrast"))


def _pool(method: CodecLM, line: Line) -> tuple[list[Entry], list[str]]:
    """The enlarged pool, and the use cases that it is to be about."""
    pool: list[Entry] = []
    if method.seeds is not None:
        table = take(line, "seeds", Seed, seeds(method.seeds, method.column, line.recipe.seed))
        pool += entries_of(rows_of(Note, line.spread("encode", method.encode, table)[Note]))
    if method.metadata is not None:
        manual = take(line, "metadata", Note, _as_notes(method.metadata))
        pool += entries_of(rows_of(Note, manual))
    grown = enlarge(pool, method.entries, line.recipe.seed)
    if method.plausible is not None:
        rows = [entry.row(i, 0) for i, entry in enumerate(grown) if entry.origin == "mixed"]
        votes = line.spread("plausible", method.plausible, frame(Seed, rows))[Score]
        refused = set(votes.filter(~(pl.col("value") >= method.least_plausible).fill_null(False))["about"])
        grown = [entry for entry in grown if entry.id not in refused]
    take(line, "pool", Note, (note for entry in grown for note in entry.notes()))
    return grown, [entry.use_case for entry in pool]


def _decoded(method: CodecLM, line: Line, entries: list[Seed], earlier: list[Chat], number: int) -> list[Chat]:
    """This round's basic instructions, without copies of those that the same entry gave before."""
    drawn = [Seed(entry.id, entry.ordinal, seed_of(entry.seed, number), entry.turns) for entry in entries]
    written = line.spread(f"decode-{number}", method.decode, frame(Seed, drawn))[Chat]
    known: dict[str, list[str]] = {}
    for chat in earlier:
        known.setdefault(chat.parents[0], []).append(chat.turns[-1].content)

    def fresh(table: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        dropped = [
            Drop(chat.id, "decode", "copy", "an earlier round wrote one too like it", chat.turns[-1].content)
            for chat in rows_of(Chat, table)
            if any(
                similarity(chat.turns[-1].content, other) > method.decode.most_alike for other in known.get(chat.parents[0], ())
            )
        ]
        return table.filter(~pl.col("id").is_in([drop.id for drop in dropped])), frame(Drop, dropped)

    told = {"most_alike": method.decode.most_alike, "known": digest(known)}
    return rows_of(Chat, line.sieve(f"fresh-{number}", Chat, written, told, fresh))


def _quota(method: CodecLM, line: Line, tables: Tables, basics: list[Chat]) -> pl.DataFrame:
    """The first `rows` accepted instructions, entry by entry in turn; spares, widest gap first, only where those end."""
    entry_of = {chat.id: chat.parents[0] for chat in basics}
    gaps = tables[Score].filter(pl.col("name") == "gap").select(id="about", gap="value", label="label")
    place = pl.int_range(pl.len()).over("entry", "spare")
    ranked = (
        tables[Chat]
        .join(gaps, on="id", how="left", maintain_order="left")
        .with_columns(
            entry=pl.col("parents").list.first().replace_strict(entry_of, return_dtype=pl.String),
            spare=~pl.col("label").is_in(["strong", "target"]),
        )
        .with_columns(place=pl.when("spare").then(-pl.col("gap").abs()).otherwise(place.cast(pl.Float64)))
        .sort("spare", "place", maintain_order=True)
    )

    def cut(table: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        ids = ranked["id"]
        over = table.filter(~pl.col("id").is_in(ids.head(method.rows).to_list()))
        text = pl.col("turns").list.last().struct.field("content")
        named = [pl.lit("quota").alias("stage"), pl.lit("over_quota").alias("reason"), pl.lit("").alias("detail")]
        kept = ranked.head(method.rows).select(table.columns)
        return kept, over.select("id", *named, text.alias("text"))

    return line.sieve("quota", Chat, tables[Chat], {"rows": method.rows, "gaps": content(gaps)}, cut)


def divergence(one: list[str], other: list[str]) -> float:
    """Jensen-Shannon divergence of two samples of names, in bits: 0 for the same shares, 1 for nothing in common."""
    counts = [pl.Series("name", names, dtype=pl.String).value_counts(normalize=True) for names in (one, other)]
    both = counts[0].join(counts[1], on="name", how="full", coalesce=True, suffix="_other").fill_null(0.0)
    p, q = pl.col("proportion"), pl.col("proportion_other")
    middle = (p + q) / 2

    def bits(share: pl.Expr) -> pl.Expr:
        return pl.when(share > 0).then(share * (share / middle).log(2)).otherwise(0.0).sum()

    return float(both.select((bits(p) + bits(q)) / 2).item())


def _as_notes(source: str) -> Iterator[Note | Drop]:
    for found in metadata(source):
        yield from [found] if isinstance(found, Drop) else found.notes()


def _won(made: Tables) -> pl.DataFrame:
    return made[Score].filter((pl.col("name") == "gap") & pl.col("label").is_in(["strong", "target"]))


def _use_cases(kept: pl.DataFrame, basics: list[Chat], pool: list[Entry]) -> list[str]:
    use_case = {entry.id: entry.use_case for entry in pool}
    entry_of = {chat.id: chat.parents[0] for chat in basics}
    return [use_case[entry_of[parents[0]]] for parents in kept["parents"]]


def _report(line: Line, scores: pl.DataFrame, wanted: list[str], use_cases: list[str]) -> None:
    """Print the acceptance per round of Contrastive Filtering, and write it down beside the recipe."""
    table = acceptance(scores)
    line.console.print("codeclm: " + "; ".join(_told(row) for row in table.iter_rows(named=True)))
    report = {
        "acceptance": table.to_dicts(),
        "use_cases_wanted": _shares(wanted),
        "use_cases_accepted": _shares(use_cases),
        "divergence_bits": round(divergence(wanted, use_cases), 4),
    }
    write(Path(line.folder.path) / "codeclm.json", json.dumps(report, indent=2).encode())


def _told(row: dict) -> str:
    return f"round {row['round']}: {row['strong'] + row['target']} of {row['tried']} accepted ({row['target']} for the target)"


def _shares(names: list[str]) -> dict[str, float]:
    counted = pl.Series("name", names, dtype=pl.String).value_counts(normalize=True, sort=True)
    return {name: round(share, 4) for name, share in counted.iter_rows()}
