"""How fast selection is, and against what: one run, the same pools, seconds, ratios and peak memory.

    python bench/selection.py               # everything, into bench/selection.json
    python bench/selection.py deita growth  # some parts

Parts run in a process each, so that peak memory is that part's own. Pools are clustered and seeded; `spectrum` pools have
the falling spectrum of real embeddings (axis i scaled by 1/√i), `even` pools the same variance on every axis, which is
the worst case for every method that looks for structure. Baselines: Deita's loop, written afresh from its description
(a row at a time; all selected vectors indexed out of a float64 matrix, cast and normalised at each step); apricot's lazy
facility location; semhash with the same vectors. They are installed for this file only:

    pip install apricot-select semhash torch
"""

# ruff: noqa: B023, E402 - work in a loop is timed within its round; threads are set before numpy loads
from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

THREADS = os.environ.setdefault("OMP_NUM_THREADS", "2")
CLOCK = time.process_time if THREADS == "1" else time.perf_counter  # on a busy machine: CPU seconds of one thread
os.environ.setdefault("OPENBLAS_NUM_THREADS", THREADS)
os.environ.setdefault("NUMBA_NUM_THREADS", THREADS)

import numpy as np
import polars as pl

from rookery.selectors.cells import semantic_in_cells
from rookery.selectors.deita import deita
from rookery.selectors.duplicates import exact, minhash, semantic
from rookery.selectors.facility_location import facility_location
from rookery.selectors.k_center import k_center
from rookery.selectors.novelselect import novelselect

OUT = Path(__file__).with_suffix(".json")
Figures = dict[str, float | int | str | bool | list]


def pool(
    size: int, dimensions: int, *, spectrum: bool = True, spread: float = 0.6, clusters: int = 0, seed: int = 0
) -> np.ndarray:
    """Unit rows, float32, about eight to a cluster unless said; made in blocks, so that making a million takes no more than they do."""
    rng = np.random.default_rng(seed)
    axes_D = 1 / np.sqrt(np.arange(1, dimensions + 1)) if spectrum else np.ones(dimensions)
    centres_CD = (rng.normal(size=(clusters or max(1, size // 8), dimensions)) * axes_D).astype(np.float32)
    rows_ND = np.empty((size, dimensions), dtype=np.float32)
    for start in range(0, size, 20_000):
        count = min(20_000, size - start)
        block = centres_CD[rng.integers(len(centres_CD), size=count)]
        block = block + (spread * axes_D * rng.normal(size=(count, dimensions))).astype(np.float32)
        rows_ND[start : start + count] = block / np.linalg.norm(block, axis=1, keepdims=True)
    return rows_ND


def seconds(work: Callable[[], object]) -> tuple[float, object]:
    began = CLOCK()
    made = work()
    return CLOCK() - began, made


def peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def deita_reference(features_ND: np.ndarray, scores_N: np.ndarray, ceiling: float = 0.9) -> list[int]:
    """The published loop with batch_size 1, on the CPU."""
    import torch

    torch.set_num_threads(int(THREADS))
    matrix_ND = features_ND.astype(np.float64)
    order = np.argsort(-scores_N, kind="stable")
    taken = [int(order[0])]
    for row in order[1:]:
        one = torch.tensor(matrix_ND[[row]]).float()
        chosen = torch.tensor(matrix_ND[taken]).float()
        one = torch.nn.functional.normalize(torch.nn.functional.normalize(one, dim=1), dim=1)
        chosen = torch.nn.functional.normalize(torch.nn.functional.normalize(chosen, dim=1), dim=1)
        if float((one @ chosen.T).max()) <= ceiling:
            taken.append(int(row))
    return taken


def part_deita_4000() -> Figures:
    return part_deita((4000,))


def part_deita(sizes: tuple[int, ...] = (250, 500, 1000)) -> Figures:
    """The reference loop and ours: all of as many rows x 4,096, nothing rejected, which is its worst case."""
    rng = np.random.default_rng(0)
    told: Figures = {}
    for size in sizes:
        features_ND, scores_N = rng.normal(size=(size, 4096)).astype(np.float32), rng.normal(size=size)
        ours, picks = min((seconds(lambda: deita(features_ND, scores_N, size)) for _ in range(2)), key=lambda r: r[0])
        theirs, taken = seconds(lambda: deita_reference(features_ND, scores_N))
        told |= {f"ours_{size}": ours, f"reference_{size}": theirs, f"ratio_{size}": theirs / ours}
        told[f"same_{size}"] = picks.rows_K.tolist() == taken
    features_ND, scores_N = pool(3000, 384, spread=0.3), rng.normal(size=3000)
    taken = deita_reference(features_ND, scores_N)
    told["same_clustered_3000"] = deita(features_ND, scores_N, None).rows_K.tolist() == taken
    return told


def _mapped(size: int, dimensions: int, **more: float | bool) -> np.ndarray:
    """A pool in a file, read through a memory map, made by another process so that this one's memory stays its own."""
    folder = Path(tempfile.mkdtemp(prefix="rookery-bench-"))
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import selection, numpy; "
    code += f"numpy.save({str(folder / 'pool.npy')!r}, selection.pool({size}, {dimensions}, **{more!r}))"
    subprocess.run([sys.executable, "-c", code], check=True)
    return np.load(folder / "pool.npy", mmap_mode="r")


def part_million() -> Figures:
    """10,000 of 1,000,000 x 384 from a memory map: among many clusters, and where the last row has to be looked at."""
    features_ND, scores_N = _mapped(1_000_000, 384), np.random.default_rng(1).normal(size=1_000_000)
    took, picks = seconds(lambda: deita(features_ND, scores_N, 10_000))
    told: Figures = {"deita_10k_of_1m": took, "selected": len(picks), "peak_gib": peak_gib()}
    told["visited"] = int((scores_N >= picks.gains_K.min()).sum())
    return told


def part_million_all() -> Figures:
    """The same with 9,950 tight clusters: the budget is not met, so all of the million are compared with all taken."""
    features_ND = _mapped(1_000_000, 384, clusters=9_950, spread=0.2)
    scores_N = np.random.default_rng(1).normal(size=1_000_000)
    took, picks = seconds(lambda: deita(features_ND, scores_N, 10_000))
    return {"deita_10k_of_1m": took, "selected": len(picks), "visited": 1_000_000, "peak_gib": peak_gib()}


def part_growth() -> Figures:
    """Seconds by pool size and budget."""
    told: Figures = {}
    for size, budgets in ((10_000, (1000, 4000)), (100_000, (1000, 4000))):
        features_ND, scores_N = pool(size, 384), np.random.default_rng(1).normal(size=size)
        for budget in budgets:
            named = f"{budget}_of_{size}"
            told[f"deita_{named}"], _ = seconds(lambda: deita(features_ND, scores_N, budget))
            told[f"k_center_{named}"], _ = seconds(lambda: k_center(features_ND, budget))
            if size == 10_000:
                told[f"facility_location_{named}"], _ = seconds(lambda: facility_location(features_ND, budget))
        rng = np.random.default_rng(0)
        told[f"novelselect_1000_of_{size}"], _ = seconds(lambda: novelselect(features_ND, 1000, rng, densities_N=np.ones(size)))
    return told | {"peak_gib": peak_gib()}


def part_facility() -> Figures:
    """apricot's lazy greedy on its dense kernel, and ours, which never stores the kernel: 500 rows."""
    from apricot import FacilityLocationSelection

    told: Figures = {}
    for size in (2000, 5000, 10_000):
        features_ND = pool(size, 384)
        theirs, made = seconds(
            lambda: FacilityLocationSelection(500, metric="cosine", optimizer="lazy", verbose=False).fit(features_ND)
        )
        ours, picks = seconds(lambda: facility_location(features_ND, 500))
        near_NN = np.maximum(features_ND @ features_ND.T, 0)
        told |= {f"ours_{size}": ours, f"apricot_{size}": theirs, f"ratio_{size}": theirs / ours}
        told[f"value_ours_{size}"] = float(near_NN[:, picks.rows_K].max(1).mean())
        told[f"value_apricot_{size}"] = float(near_NN[:, made.ranking].max(1).mean())
    return told | {"peak_gib": peak_gib()}


def part_duplicates(sizes: tuple[int, ...] = (10_000, 100_000)) -> Figures:
    """Vectors: semhash and ours at a cosine of 0.95, a tenth of the rows planted copies; recall of the planted."""
    from semhash import SemHash

    told: Figures = {}
    for size in sizes:
        rng = np.random.default_rng(2)
        base_ND = pool(size * 9 // 10, 256, spread=0.9)
        copies_ND = base_ND[: size // 10] + (0.01 * rng.normal(size=(size // 10, 256))).astype(np.float32)
        features_ND = np.vstack([base_ND, copies_ND / np.linalg.norm(copies_ND, axis=1, keepdims=True)])
        planted = np.arange(len(base_ND), len(features_ND))
        ways: dict[str, Callable[[], np.ndarray]] = {
            "cells": lambda f=features_ND: semantic_in_cells(f, similarity=0.95).kept_N,
            "semhash": lambda f=features_ND: _semhash(SemHash, f),
        }
        if size <= 100_000:
            ways["exact"] = lambda f=features_ND: semantic(f, similarity=0.95).kept_N
        for name, work in ways.items():
            told[f"{name}_{size}"], kept_N = seconds(work)
            told[f"{name}_recall_{size}"] = float((~kept_N[planted]).mean())
            told[f"{name}_dropped_{size}"] = int((~kept_N).sum())
            print(size, name, told[f"{name}_{size}"], told[f"{name}_recall_{size}"], flush=True)
    return told | {"peak_gib": peak_gib()}


def part_duplicates_million() -> Figures:
    return part_duplicates((1_000_000,))


def _semhash(maker: type, features_ND: np.ndarray, similarity: float = 0.95) -> np.ndarray:
    class Nothing:  # vectors are given, so it is never asked
        def encode(self, *_: object, **__: object) -> np.ndarray:
            raise AssertionError

    records = [{"text": str(row)} for row in range(len(features_ND))]
    index = maker.from_embeddings(features_ND, records=records, columns=["text"], model=Nothing())
    kept_N = np.zeros(len(features_ND), dtype=bool)
    kept_N[[int(record["text"]) for record in index.self_deduplicate(threshold=similarity).selected]] = True
    return kept_N


def short_texts(size: int, words: np.ndarray) -> np.ndarray:
    """Numbers of 16 words each; the last tenth are copies of the first with one word changed."""
    rng, planted = np.random.default_rng(3), size // 10
    drawn = rng.integers(len(words), size=(size - planted, 16))
    changed = drawn[:planted].copy()
    changed[np.arange(planted), rng.integers(16, size=planted)] = rng.integers(len(words), size=planted)
    return np.vstack([drawn, changed])


def part_texts(size: int = 1_000_000) -> Figures:
    """Short texts, a tenth with one word changed: exact and MinHash, from text to answer."""
    words = np.array([f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in "bdfgklmnprstvz"])
    texts = pl.Series([" ".join(row) for row in words[short_texts(size, words)]])
    told: Figures = {}
    told["exact"], _ = seconds(lambda: exact(texts))
    told["minhash"], found = seconds(lambda: minhash(texts, similarity=0.6, words=2))
    return told | _planted(found.kept_N, "minhash") | {"peak_gib": peak_gib()}


def part_texts_as_vectors(size: int = 100_000) -> Figures:
    """The same texts by meaning: semhash and ours on the mean of their words' vectors, as static encoders make them."""
    from semhash import SemHash

    words = np.arange(840)
    table_WD = np.random.default_rng(4).normal(size=(len(words), 256)).astype(np.float32)
    features_ND = np.empty((size, 256), dtype=np.float32)
    for start, block in enumerate(np.array_split(short_texts(size, words), max(1, size // 10_000))):
        part = slice(start * 10_000, start * 10_000 + len(block))
        features_ND[part] = table_WD[block].mean(axis=1)
    features_ND /= np.linalg.norm(features_ND, axis=1, keepdims=True)
    told: Figures = {}
    for name, work in {
        "cells": lambda: semantic_in_cells(features_ND, similarity=0.85).kept_N,
        "semhash": lambda: _semhash(SemHash, features_ND, 0.85),
    }.items():
        told[name], kept_N = seconds(work)
        told |= _planted(kept_N, name)
        print(name, told, flush=True)
    return told | {"peak_gib": peak_gib()}


def part_texts_as_vectors_million() -> Figures:
    return part_texts_as_vectors(1_000_000)


def _planted(kept_N: np.ndarray, name: str) -> Figures:
    """How many of the planted copies, the last tenth, were found; and how many others went."""
    first = len(kept_N) - len(kept_N) // 10
    return {f"{name}_recall": float((~kept_N[first:]).mean()), f"{name}_others": int((~kept_N[:first]).sum())}


PARTS = {name.removeprefix("part_"): work for name, work in list(globals().items()) if name.startswith("part_")}


def main() -> None:
    if len(sys.argv) == 3 and sys.argv[1] == "--inside":
        print("FIGURES " + json.dumps(PARTS[sys.argv[2]]()))
        return
    for name in sys.argv[1:] or PARTS:
        load = os.getloadavg()[0]
        child = subprocess.run([sys.executable, __file__, "--inside", name], stdout=subprocess.PIPE, text=True, check=True)
        figures = json.loads(next(line for line in child.stdout.splitlines() if line.startswith("FIGURES "))[8:])
        told = json.loads(OUT.read_text()) if OUT.exists() else {}
        clock = "cpu seconds" if THREADS == "1" else "seconds"
        told[name] = {"threads": int(THREADS), "clock": clock, "load_before": round(load, 1), **figures}
        OUT.write_text(json.dumps(told, indent=2) + "\n")
        print(name, json.dumps(told[name], indent=2), flush=True)


if __name__ == "__main__":
    main()
