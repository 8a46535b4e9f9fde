"""I-SHEEP against the truth of the demo world: does the base model get better from its own data, and is it self-assessment that does it?

    python bench/isheep_truth.py [--model data/demo/base] [--rows 1000] [--iterations 3] [--out runs]

The recipe is `data/recipes/isheep.yaml`, run as `rookery build` runs it, once for each arm: the loop itself; the same without
self-assessment; the same with as many rows drawn at random as self-assessment keeps; and Direct-N, the base model writing all
iterations' rows at once. Arms share a run's folder, so what they have in common is made once. Every model sits the same exam: held-out
tasks of the world, answered greedily, marked by the world's checker. Intervals are bootstrap intervals of 95%, over questions; a difference
is paired by question. Beside it stands what the truth says of the data: of all answers that passed the rules, of those kept, and
how well marks tell right from wrong.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from rookery.data.world.exam import HELD_OUT
from rookery.data.world.probes import auc
from rookery.flows import environment
from rookery.flows.exam import interval
from rookery.flows.recipe_file import load

ROOT = Path(__file__).resolve().parents[1]
ARMS = {
    "I-SHEEP": [],
    "no self-assessment": ["generate.assess=null"],
    "random, same size": ["generate.keep=random"],
    "Direct-N": ["generate.setting=direct"],
}
Line = dict[str, object]


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    asked.add_argument("--model", default=str(ROOT / "data" / "demo" / "base"))
    asked.add_argument("--rows", type=int, default=1000, help="instructions of an iteration")
    asked.add_argument("--iterations", type=int, default=3)
    asked.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change the recipe of all arms")
    asked.add_argument("--out", type=Path, default=Path("runs"))
    told = asked.parse_args()
    environment.prepare(offline=True)
    from rookery.flows.build import build  # imports Prefect, Ray and vLLM, which read the environment once

    shared = [f"generate.rows={told.rows}", f"generate.iterations={told.iterations}", f"generate.patience={told.iterations}"]
    shared += [f"engines.main.model={Path(told.model).resolve()}", "name=isheep-truth", *told.set]
    lines: list[Line] = []
    exams: dict[tuple[str, int], np.ndarray] = {}
    for arm, settings in ARMS.items():
        began = time.monotonic()
        run = build(load(ROOT / "data" / "recipes" / "isheep.yaml", [*shared, *settings]), told.out)
        for line, marks_N in measured(run):
            exams[arm, int(str(line["iteration"]))] = marks_N
            lines.append({"arm": arm, **line})
        lines[-1]["arm_seconds"] = round(time.monotonic() - began)
    best = max((key for key in exams if key[0] == "I-SHEEP" and key[1]), key=lambda key: exams[key].mean())
    report = {
        "questions": len(HELD_OUT.questions()),
        "lines": lines,
        "best_minus_base": difference(exams[best], exams["I-SHEEP", 0]),
        "best_minus_control": {
            arm: difference(exams[best], max((m for (a, i), m in exams.items() if a == arm and i), key=np.mean))
            for arm in ARMS
            if arm != "I-SHEEP"
        },
    }
    (told.out / "isheep-truth" / "truth.json").write_text(json.dumps(report, indent=2))
    print(table(lines))
    print(json.dumps({key: value for key, value in report.items() if key != "lines"}, indent=2))


def measured(run: Path) -> Iterator[tuple[Line, np.ndarray]]:
    """For each iteration its line of the table, and the marks of its exam by question."""
    folders = {name.rpartition("-")[0].partition("-")[2]: run / "stages" / name for name in listed(run)}
    for told in json.loads((run / "iterations.json").read_text())["iterations"]:
        number = told["iteration"]
        marks_N = pl.read_parquet(folders[f"graded-{number}"] / "part-00000.parquet")["value"].to_numpy()
        low, high = interval(marks_N)
        yield {**told, "exam_low": low, "exam_high": high, **(of_data(folders, number) if number else {})}, marks_N


def listed(run: Path) -> list[str]:
    return json.loads((run / "manifest.json").read_text())["stages"]


def of_data(folders: dict[str, Path], number: int) -> Line:
    """What the truth says of an iteration's rows: after the rules, after the threshold, and of the marks."""
    ruled = truths(folders[f"rules-{number}"])
    kept = truths(folders.get(f"keep-{number}", folders[f"rules-{number}"]))
    found: Line = {"right_ruled": mean(ruled), "right_kept": mean(kept)}
    if (folder := folders.get(f"assess-{number}")) is not None:
        scores = pl.concat(pl.read_parquet(file) for file in sorted(folder.glob("part-*.parquet"))).drop_nulls("value")
        for (name,), group in scores.group_by("name", maintain_order=True):
            marked = [(value, ruled[about]) for about, value in group.select("about", "value").rows()]
            found[f"auc_{name}"] = auc([v for v, right in marked if right], [v for v, right in marked if not right])
    return found


def truths(folder: Path) -> dict[str, float]:
    """Conversation id -> 1 where its answer is right."""
    table = pl.concat(pl.read_parquet(file) for file in sorted(folder.glob("part-*.parquet")))
    return {
        row["id"]: HELD_OUT.grade(row["turns"][0]["content"], row["turns"][-1]["content"])
        for row in table.iter_rows(named=True)
    }


def mean(truths: dict[str, float]) -> float | None:
    return sum(truths.values()) / len(truths) if truths else None


def difference(one_N: np.ndarray, other_N: np.ndarray) -> Line:
    low, high = interval(one_N - other_N)
    return {"mean": round(float((one_N - other_N).mean()), 4), "low": round(low, 4), "high": round(high, 4)}


def table(lines: list[Line]) -> str:
    names = ("arm", "iteration", "instructions", "passed_rules", "kept", "right_ruled", "right_kept", "auc_quality", "auc_following",
             "lessons", "loss", "exam", "exam_low", "exam_high", "arm_seconds")  # fmt: skip
    rows = [[cell(line.get(name)) for name in names] for line in lines]
    return "\n".join(
        "| " + " | ".join(row) + " |" for row in [[name.replace("_", " ") for name in names], ["---"] * len(names), *rows]
    )


def cell(value: object) -> str:
    return "" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
