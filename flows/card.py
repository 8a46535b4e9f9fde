"""The dataset card: `README.md` with everything that a reader, a loader and the Hub want to know, from a run's facts alone.

Nothing in it hangs on the day, so a run that changed nothing writes the same card, and nothing is pushed twice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import numpy as np
import polars as pl
import yaml

from ..schemas import exports as shapes
from ..schemas.tables import columns
from .cite import bibtex
from .facts import Facts, histogram, lengths

ROWS: dict[str, type] = {
    "default": shapes.Pair,
    "unpaired": shapes.Thumb,
    "sft": shapes.Lesson,
    "candidates": shapes.Slate,
    "reward_augmented": shapes.Goal,
    "d2o": shapes.Negative,
    "infalign": shapes.Rollouts,
    "listwise": shapes.Ranking,
}
FOR = {
    "default": "`DPOTrainer`, `RewardTrainer`",
    "unpaired": "`KTOTrainer`",
    "sft": "`SFTTrainer`",
    "candidates": "pairing anew, with a margin of your own",
    "reward_augmented": "`DPOTrainer`, under goals",
    "d2o": "dispreference optimisation",
    "infalign": "inference-aware alignment",
    "listwise": "losses on rankings",
    "magpie": "those who work with Magpie's published sets",
}
BAR = 30  # width of the longest bar of a histogram, characters
SHOWN = 600  # characters of a text in a sample


def card(facts: Facts, *, licence: str | None, language: tuple[str, ...] = ("en",), title: str | None = None) -> str:
    """The whole file. Without a licence the front matter names none, and the card says so."""
    name = title or facts.run.name
    parts = [
        "---\n" + yaml.safe_dump(front_matter(facts, licence, language, name), sort_keys=False, allow_unicode=True) + "---",
        f"# {name}",
        _opening(facts, licence),
        "## What is in it\n\n" + _configs(facts),
        *(f"### `{config}`\n\n{_columns(config)}" for config in facts.run.exports),
        "## How it came about\n\n" + funnel(facts),
        "## Scores and lengths\n\n" + _histograms(facts),
        *([f"## The judge, asked in both orders\n\n{_orders(facts)}"] if facts.orders() else []),
        "## What it cost\n\n" + _cost(facts),
        "## Three pairs\n\n" + "\n\n".join(_samples(facts)),
        "## Make it again\n\n" + _reproduce(facts),
        f"## Papers\n\n```bibtex\n{bibtex([*facts.methods, *facts.run.exports])}\n```",
    ]
    return "\n\n".join(parts) + "\n"


def front_matter(facts: Facts, licence: str | None, language: tuple[str, ...], name: str) -> dict:
    """What the Hub and `datasets` read. The first configuration is the default one."""
    configs = [
        {
            "config_name": config,
            "data_files": [{"split": "train", "path": f"{config}/train-*.parquet"}],
            **({"default": True} if config == "default" else {}),
        }
        for config in facts.run.exports
    ]
    added = facts.recipe.get("append")
    info = [
        {
            "config_name": config,
            # A loader compares this with what it finds, and here other runs' rows lie beside this one's.
            **({} if added else {"splits": [{"name": "train", "num_examples": sum(part.rows for part in parts)}]}),
        }
        for config, parts in facts.run.exports.items()
    ]
    return {
        "pretty_name": name,
        **({"license": licence} if licence else {}),
        "language": list(language),
        "tags": ["synthetic", "preference", "rlhf", "dpo", "trl", "rookery", *facts.methods],
        "task_categories": ["text-generation", "reinforcement-learning"],
        "size_categories": [_size(facts.pairs)],
        "annotations_creators": ["machine-generated"],
        "language_creators": ["machine-generated"],
        "source_datasets": ["original"],
        "configs": configs,
        "dataset_info": info,
    }


def merged(ours: str, theirs: str) -> str:
    """Our card with what somebody else has put into the front matter of the one that is there: keys of theirs, and tags."""
    mine, body = _parted(ours)
    other, _ = _parted(theirs)
    tags = list(dict.fromkeys([*mine.get("tags", []), *(other.get("tags") or [])]))
    both = {**mine, **{key: value for key, value in other.items() if key not in mine}, "tags": tags}
    return "---\n" + yaml.safe_dump(both, sort_keys=False, allow_unicode=True) + "---" + body


def funnel(facts: Facts) -> str:
    """A table: what went into each stage, what came out, and what was dropped for which reason."""
    lines = ["| stage | rows in | rows out | dropped |", "|---|---:|---:|---|"]
    for stage in facts.stages:
        out = ", ".join(f"{count} {kind.lower()}s" for kind, count in stage.rows_out.items())
        dropped = ", ".join(f"{reason} {count}" for reason, count in sorted(stage.dropped.items(), key=lambda kv: -kv[1]))
        lines.append(f"| {stage.stage} | {stage.rows_in} | {out} | {dropped or '-'} |")
    for config, skipped in facts.run.skipped.items():
        told = ", ".join(f"{reason} {count}" for reason, count in skipped.items())
        rows = sum(part.rows for part in facts.run.exports[config])
        lines.append(f"| export `{config}` | | {rows} rows | {told or '-'} |")
    return "\n".join(lines)


def _opening(facts: Facts, licence: str | None) -> str:
    models = ", ".join(f"`{model}`" for model in facts.models)
    unsaid = "" if licence else "\n\nNo licence was named. The licences of the models that wrote it may bind you."
    limits = ", ".join(f"{stage} ({limit})" for stage, limit in facts.run.stopped.items())
    stopped = f"\n\nA budget stopped it in {limits}: a partial dataset of the recipe below." if limits else ""
    added = (
        f"\n\nThis run, `{facts.run.name}`, added them to what earlier ones had published, and repeats none of it. The numbers "
        f"below are its own; its files are `train-{facts.run.name}-*`."
        if facts.recipe.get("append")
        else ""
    )
    return (
        f"{facts.pairs} preference pairs, written, judged and paired by machine with "
        f"Rookery from {models}. Nobody has read them all.{added}{stopped}{unsaid}\n\n"
        "```python\nfrom datasets import load_dataset\n\n"
        'pairs = load_dataset("<this repository>", split="train")  # goes into trl.DPOTrainer as it is\n```'
    )


def _configs(facts: Facts) -> str:
    lines = ["| configuration | rows | for |", "|---|---:|---|"]
    lines += [f"| `{c}` | {sum(p.rows for p in parts)} | {FOR.get(c, '')} |" for c, parts in facts.run.exports.items()]
    return "\n".join(lines)


def _columns(config: str) -> str:
    told = columns(ROWS[config]).items() if config in ROWS else ()
    return "\n".join(["| column | meaning |", "|---|---|", *(f"| `{name}` | {said} |" for name, said in told)])


def _histograms(facts: Facts) -> str:
    found = []
    pairs = facts.exports.get("default", pl.DataFrame())
    if pairs.height:
        found += [(column, pairs[column].to_numpy()) for column in ("score_chosen", "score_rejected", "score_margin")]
        found += [(f"length of {side}, characters", lengths(pairs, side)) for side in ("prompt", "chosen", "rejected")]
    return "\n\n".join(f"**{title}**\n\n```\n{bars(values)}\n```" for title, values in found) or "There are no pairs."


def bars(values: np.ndarray) -> str:
    """A histogram in characters."""
    told = histogram(values)
    most = max((count for *_, count in told), default=1) or 1
    return "\n".join(f"{a:>9.4g} to {b:<9.4g} {'█' * -(-BAR * n // most):<{BAR}} {n}" for a, b, n in told)


def _orders(facts: Facts) -> str:
    told = facts.orders() or {}
    return (
        f"{told['matches']:.0f} comparisons, each asked twice with the answers swapped. The verdict stayed in "
        f"{told['order_agreement']:.1%} and flipped in {told['flip_rate']:.1%}; {told['no_verdict_share']:.1%} had none. "
        f"The first place is favoured by {told['favour_of_place_a']:+.3f} in probability, which averaging takes out."
    )


def _cost(facts: Facts) -> str:
    read, written = facts.tokens
    lines = ["| stage | tokens read | tokens written | seconds |", "|---|---:|---:|---:|"]
    lines += [f"| {s.stage} | {s.tokens_in} | {s.tokens_out} | {s.seconds:.1f} |" for s in facts.stages]
    lines.append(f"| **all** | {read} | {written} | {facts.seconds:.1f} |")
    if facts.pairs:
        each = f"{written / facts.pairs:.0f} tokens written, {read / facts.pairs:.0f} read, {facts.seconds / facts.pairs:.2f} s"
        lines += ["", f"For each kept pair: {each}."]
    return "\n".join(lines)


def _samples(facts: Facts) -> Iterator[str]:
    pairs = facts.exports.get("default", pl.DataFrame())
    for row in pairs.head(3).iter_rows(named=True) if pairs.height else ():
        for side, score in (("prompt", None), ("chosen", "score_chosen"), ("rejected", "score_rejected")):
            told = f" ({row[score]:.3g})" if score else ""
            yield f"**{side}**{told}\n\n{fenced(row[side][-1]['content'][:SHOWN])}"
    if not pairs.height:
        yield "There are no pairs."


def fenced(text: str) -> str:
    """A text in a fence that nothing in it can close."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    shown = "".join(c if c in "\n\t" or c.isprintable() else json.dumps(c)[1:-1] for c in text)
    return f"{fence}text\n{shown}\n{fence}"


def _reproduce(facts: Facts) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in facts.run.versions.items())
    return (
        "```bash\nrookery build recipe.yaml\n```\n\n"
        f"`recipe.yaml` (fingerprint `{facts.run.recipe}`), with {versions}:\n\n```yaml\n{facts.recipe_text.strip()}\n```"
    )


def _size(rows: int) -> str:
    for limit, said in ((1e3, "n<1K"), (1e4, "1K<n<10K"), (1e5, "10K<n<100K"), (1e6, "100K<n<1M"), (1e7, "1M<n<10M")):
        if rows < limit:
            return said
    return "10M<n<100M"


def _parted(text: str) -> tuple[dict, str]:
    found = re.match(r"\A---\r?\n(.*?)\r?\n---[ \t]*(?=\r?\n|\Z)", text, re.DOTALL)
    if not found:
        return {}, "\n" + text
    told = yaml.safe_load(found[1])
    return (told if isinstance(told, dict) else {}), text[found.end() :]
