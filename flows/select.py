"""Select from a pool: one method, one budget, and a folder that says what was done.

    select_pool("pool.parquet", "deita", "10%", Path("out"), score="quality")

writes `selected.parquet` (the pool's columns and rank, gain, why), `dropped.parquet` (rows that no selector can compare,
each with its reason) and, last, `manifest.json`. Needs no GPU, no Ray and no Prefect.
"""

from __future__ import annotations

import inspect
import json
import time
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from .. import __version__
from ..selectors import bleu_hardness, controls, margin, quotas
from ..selectors.cluster_rank import cluster_rank
from ..selectors.deita import deita, deita_relaxed, turn_scores
from ..selectors.dpp import dpp_map, dpp_sample
from ..selectors.embed import Encoder, SentenceEncoder, embed
from ..selectors.facility_location import facility_location, qdit
from ..selectors.ifd import ifd
from ..selectors.information import READINGS, information, mixture_log_likelihood
from ..selectors.instag import instag
from ..selectors.k_center import k_center
from ..selectors.mig import mig
from ..selectors.near import neighbours_in_cells
from ..selectors.novelselect import density, novelselect
from ..selectors.picks import Picks, Progress, take, unusable
from ..selectors.rds import rds
from .durable import write, write_parquet
from .select_pool import Pool, PoolError, read_pool

FORMAT = 1  # of manifest.json
SAMPLE = 20_000  # rows that are to be represented, for the methods that say so in their names
Setting = float | int | str


@dataclass(frozen=True)
class Given:
    """What the caller says about the pool: which columns hold what, and where vectors come from."""

    score: tuple[str, ...] = ()  # one column, or two whose product is the score (lists: one number for each turn)
    tags: str | None = None
    stratify: str | None = None
    targets: Pool | None = None
    seed: int = 0
    encoder: Callable[[], Encoder] = SentenceEncoder
    cache: Path | None = None
    vectors: np.ndarray | None = None  # in place of an encoder, one row for each pool row in order of id
    settings: Mapping[str, Setting] = field(default_factory=dict)  # of the method, by the selector's parameter names


@dataclass(eq=False)
class Inputs:
    """A pool and what methods ask of it, made when first asked for."""

    pool: Pool
    given: Given
    progress: Progress | None = None

    @cached_property
    def vectors(self) -> np.ndarray:
        if self.given.vectors is not None:
            return self.given.vectors
        return embed(self.pool.texts.to_list(), self.encoder, cache=self.given.cache, progress=self.progress)

    @cached_property
    def targets(self) -> np.ndarray:
        if self.given.targets is None:
            raise PoolError("rds chooses for a target: give --targets, a file of examples like those to do well on")
        return embed(self.given.targets.texts.to_list(), self.encoder, cache=self.given.cache)

    @cached_property
    def scores(self) -> np.ndarray:
        columns = [self.pool.column(name) for name in self.given.score]
        if not columns:
            numeric = [name for name, dtype in self.pool.frame.schema.items() if dtype.is_numeric()]
            raise PoolError(
                f"this method needs a score: name its column with --score (numeric: {', '.join(numeric) or 'none'})"
            )
        if len(columns) == 2 and all(isinstance(column.dtype, pl.List) for column in columns):
            return turn_scores(columns[0].to_list(), columns[1].to_list())
        product = np.ones(self.pool.frame.height)
        for column in columns:
            if not column.dtype.is_numeric():
                raise PoolError(f"column {column.name!r} is {column.dtype}: expected numbers, or two columns of lists")
            product = product * column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
        return product

    @cached_property
    def tags(self) -> list[list[str]]:
        if self.given.tags is None:
            raise PoolError("this method needs tags: name a column of lists of text with --tags")
        return [list(row or []) for row in self.pool.column(self.given.tags).to_list()]

    @cached_property
    def sample(self) -> np.ndarray:
        """Vectors that stand for the pool where looking at every pair of a million rows would take hours."""
        return self.vectors[np.sort(self.rng.permutation(len(self.vectors))[:SAMPLE])]

    @property
    def rng(self) -> np.random.Generator:
        return np.random.default_rng(self.given.seed)

    @cached_property
    def encoder(self) -> Encoder:
        return self.given.encoder()

    def rows(self, rows: np.ndarray, *, needs: tuple[str, ...]) -> Inputs:
        """The same for some of the rows; what was made is cut, not made again."""
        part = Inputs(self.pool.rows(rows), self.given, self.progress)
        for name in needs:
            made = getattr(self, name)
            part.__dict__[name] = [made[row] for row in rows] if isinstance(made, list) else made[rows]
        return part


@dataclass(frozen=True)
class Method:
    """A selector as the command line calls it: what it needs of the pool, and the function that takes its settings."""

    needs: tuple[str, ...]
    selector: Callable[..., Picks]
    run: Callable[[Callable[..., Picks], Inputs, int], Picks]


def _mig(select: Callable[..., Picks], have: Inputs, budget: int) -> Picks:
    names = sorted({tag for row in have.tags for tag in row})
    number = {name: i for i, name in enumerate(names)}
    vectors = embed(names, have.encoder, cache=have.given.cache) if names else np.ones((1, 1), dtype=np.float32)
    return select([[number[tag] for tag in row] for row in have.tags], have.scores, budget, label_vectors_TD=vectors)


def _information(select: Callable[..., Picks], have: Inputs, budget: int) -> Picks:
    return select(mixture_log_likelihood(have.vectors, seed=have.given.seed), budget)


def _novelselect_in_cells(select: Callable[..., Picks], have: Inputs, budget: int) -> Picks:
    densities_N = density(have.vectors, have.vectors, find=neighbours_in_cells)
    return select(have.vectors, budget, have.rng, densities_N=densities_N)


def _length(have: Inputs) -> np.ndarray:
    spoken = have.pool.responses if have.pool.responses.str.len_chars().sum() else have.pool.texts
    return spoken.str.len_chars().to_numpy().astype(np.float64)


_VECTORS, _SCORES, _BOTH = ("vectors",), ("scores",), ("vectors", "scores")
METHODS: dict[str, Method] = {
    "deita": Method(_BOTH, deita, lambda s, have, k: s(have.vectors, have.scores, k)),
    "deita_relaxed": Method(_BOTH, deita_relaxed, lambda s, have, k: s(have.vectors, have.scores, k)),
    "qdit": Method(_BOTH, qdit, lambda s, have, k: s(have.vectors, have.scores, k)),
    "facility_location": Method(_VECTORS, facility_location, lambda s, have, k: s(have.vectors, k)),
    "qdit_sampled": Method(_BOTH, qdit, lambda s, have, k: s(have.vectors, have.scores, k, represented_VD=have.sample)),
    "facility_location_sampled": Method(
        _VECTORS, facility_location, lambda s, have, k: s(have.vectors, k, represented_VD=have.sample)
    ),
    "mig": Method(("tags", "scores"), mig, _mig),
    "novelselect": Method(_VECTORS, novelselect, lambda s, have, k: s(have.vectors, k, have.rng)),
    "novelselect_in_cells": Method(_VECTORS, novelselect, _novelselect_in_cells),
    "k_center": Method(_VECTORS, k_center, lambda s, have, k: s(have.vectors, k)),
    "dpp": Method(_VECTORS, dpp_map, lambda s, have, k: s(have.vectors, k)),
    "dpp_sample": Method(_VECTORS, dpp_sample, lambda s, have, k: s(have.vectors, k, have.rng)),
    "cluster_rank": Method(_BOTH, cluster_rank, lambda s, have, k: s(have.vectors, have.scores, k, seed=have.given.seed)),
    "information": Method(_VECTORS, information, _information),
    "instag": Method(("tags",), instag, lambda s, have, k: s(have.tags, k)),
    "rds": Method(_VECTORS, rds, lambda s, have, k: s(have.vectors, have.targets, k)),
    "ifd": Method(_SCORES, ifd, lambda s, have, k: s(have.scores, k)),
    "bleu_hard": Method(_SCORES, bleu_hardness.hard, lambda s, have, k: s(have.scores, k)),
    "bleu_medium": Method(_SCORES, bleu_hardness.medium, lambda s, have, k: s(have.scores, k)),
    "bleu_easy": Method(_SCORES, bleu_hardness.easy, lambda s, have, k: s(have.scores, k)),
    "margin_clearest": Method(_SCORES, margin.clearest, lambda s, have, k: s(have.scores, k)),
    "margin_closest": Method(_SCORES, margin.closest, lambda s, have, k: s(have.scores, k)),
    "highest": Method(_SCORES, controls.highest, lambda s, have, k: s(have.scores, k)),
    "longest": Method((), controls.longest, lambda s, have, k: s(_length(have), k)),
    "random": Method((), controls.random, lambda s, have, k: s(have.pool.frame.height, k, have.rng)),
}


def choose(method: str, have: Inputs, budget: int) -> tuple[Picks, np.ndarray]:
    """Picks of a method, as rows of the pool; and for each row why it could not be compared ("" where it could)."""
    if method not in METHODS:
        raise PoolError(f"no method {method!r}; there are {', '.join(METHODS)}")
    entry = METHODS[method]
    made = {name: getattr(have, name) for name in entry.needs}
    reasons_N = np.full(have.pool.frame.height, "", dtype=object)
    if "vectors" in made or "scores" in made:
        reasons_N = unusable(made.get("vectors"), made.get("scores"))
    fine = np.flatnonzero(reasons_N == "")
    part = have if len(fine) == len(reasons_N) else have.rows(fine, needs=entry.needs)
    select = _with_settings(method, entry.selector, have.given.settings, have.progress)
    if have.given.stratify is None:
        return entry.run(select, part, budget).mapped(fine), reasons_N
    groups = part.pool.column(have.given.stratify)
    within = quotas.within(groups, budget, lambda rows, k: entry.run(select, part.rows(rows, needs=entry.needs), k))
    return within.mapped(fine), reasons_N


def select_pool(
    pool: Pool | str, method: str, budget: int | str, out: Path, given: Given | None = None, progress: Progress | None = None
) -> dict[str, object]:
    """Run one method and write what it chose. Returns the manifest; its file is written last."""
    began = time.perf_counter()
    pool = read_pool(pool) if isinstance(pool, str) else pool
    given = given or Given()
    rows = rows_of(budget, pool.frame.height)
    have = Inputs(pool, given, progress)
    picks, reasons_N = choose(method, have, rows)
    dropped = pool.frame.with_columns(reason=pl.Series(reasons_N.tolist(), dtype=pl.String)).filter(pl.col("reason") != "")
    out.mkdir(parents=True, exist_ok=True)
    (out / "manifest.json").unlink(missing_ok=True)
    files = [write_parquet(out / "selected.parquet", take(pool.frame, picks)), write_parquet(out / "dropped.parquet", dropped)]
    manifest: dict[str, object] = {
        "format": FORMAT,
        "rookery": __version__,
        "pool": pool.name,
        "pool_rows": pool.frame.height,
        "pool_digest": pool.digest,
        "method": method,
        "settings": {**_defaults(METHODS[method].selector), **given.settings},
        "score": list(given.score),
        "stratify": given.stratify,
        "encoder": have.encoder.name if "encoder" in have.__dict__ else None,
        "seed": given.seed,
        "budget": rows,
        "selected": len(picks),
        "dropped": dict(dropped.group_by("reason").len().sort("reason").iter_rows()),
        "notes": list(picks.notes),
        "seconds": round(time.perf_counter() - began, 3),
        "files": [part.model_dump() for part in files],
    }
    write(out / "manifest.json", json.dumps(manifest, indent=2).encode() + b"\n")
    return manifest


def rows_of(budget: int | str, size: int) -> int:
    """A number of rows from a number or a percentage of the pool."""
    text = str(budget).strip()
    try:
        rows = round(float(text[:-1]) / 100 * size) if text.endswith("%") else int(text)
    except ValueError:
        rows = -1
    if rows < 0:
        raise PoolError(f"budget {budget!r}: expected a number of rows such as 1000, or a share of the pool such as 10%")
    return rows


def _with_settings(
    method: str, selector: Callable[..., Picks], settings: Mapping[str, Setting], progress: Progress | None
) -> Callable[..., Picks]:
    """The selector with the caller's settings, each checked against its signature."""
    hints, known = typing.get_type_hints(selector), _defaults(selector)
    strange = sorted(set(settings) - set(known))
    if strange:
        raise PoolError(f"{method} has no setting {', '.join(strange)}; it has {', '.join(known) or 'none'}")
    given = {name: _parsed(name, value, hints[name]) for name, value in settings.items()}
    reports = {"progress": progress} if progress and "progress" in hints else {}
    return lambda *arrays, **more: selector(*arrays, **{**more, **given, **reports})


def _parsed(name: str, value: Setting, hint: object) -> object:
    if name == "reading":
        return READINGS[str(value)]
    kinds = [kind for kind in (typing.get_args(hint) or (hint,)) if kind in (int, float, str)]
    try:
        return kinds[0](value) if kinds else value
    except ValueError as error:
        raise PoolError(f"{name}={value!r}: expected {kinds[0].__name__}") from error


def _defaults(selector: Callable[..., Picks]) -> dict[str, object]:
    """The settings of a selector that can be typed: keyword parameters with a plain default."""
    found = {}
    for name, parameter in inspect.signature(selector).parameters.items():
        plain = isinstance(parameter.default, int | float | str) or name in ("clusters", "reading")
        if parameter.kind is parameter.KEYWORD_ONLY and plain:
            found[name] = getattr(parameter.default, "__name__", parameter.default)
    return found
