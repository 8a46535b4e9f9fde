"""The loop with real vLLM, Ray, Prefect and TRL on the demo's base model: settings, controls, stop rule, failures, resumption."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import polars as pl
import psutil
import pytest
import yaml
from support import DEMO, ROOT

from rookery.data.world.exam import HELD_OUT, WorldExam
from rookery.data.world.tasks import read_task
from rookery.flows.build import build
from rookery.flows.exam import ExamError, interval, load_exam
from rookery.flows.recipe_file import RecipeError, load, parse
from rookery.flows.training.spec import Trained, TrainingError
from rookery.schemas.manifest import StageManifest

QUICK = WorldExam(40)
SMALL = [
    "generate.rows=40", "generate.iterations=2", "generate.above=0", "generate.most_rounds=2",
    "generate.train.epochs=1", "generate.train.batch=8", f"generate.evaluate={__name__}:QUICK",
]  # fmt: skip


def stages(run):
    found = [StageManifest.model_validate_json(path.read_text()) for path in sorted(run.glob("stages/*/manifest.json"))]
    return {stage.stage: stage for stage in found}


def folder(run, stage):
    [found] = run.glob(f"stages/*-{stage}-*")
    return found


def recipe(*settings):
    return load(ROOT / "data" / "recipes" / "isheep.yaml", [*SMALL, *settings])


@pytest.fixture(scope="module")
def run(tmp_path_factory, prefect_server):
    return build(recipe(), tmp_path_factory.mktemp("loop"))


def test_every_iteration_starts_from_the_base_and_its_model_writes_the_next(run):
    made = stages(run)
    base = made["exam-0"].made_from["engines"][0]["revision"]
    for number in (1, 2):
        told = made[f"train-{number}"].made_from
        assert told["model"]["revision"] == base, "One_base trains the base model, never the tuned one"
        assert told["tuning"]["method"] == "sft"
    writers = [made[f"{stage}-{number}"].made_from["engines"][0]["model"] for number in (1, 2) for stage in ("answer",)]
    assert writers == ["base", "base-isheep-1"]
    markers = [made[f"assess-{number}"].made_from["engines"][0]["model"] for number in (1, 2)]
    assert markers == ["base", "base"], "the evaluator is the base model by default"
    forms = [made[f"answer-{number}"].made_from["step"]["form"] for number in (1, 2)]
    assert forms == ["raw", "chat"]


def test_every_row_of_an_iteration_is_somewhere(run):
    made = stages(run)
    for number in (1, 2):
        asked = [stage for name, stage in made.items() if name.startswith(f"sort-out-{number}-")]
        accepted = sum(stage.rows_out["Chat"] for stage in asked)
        answer, ruled, kept = (made[f"{name}-{number}"] for name in ("answer", "rules", "keep"))
        assert all(stage.rows_in == stage.rows_out["Chat"] + sum(stage.dropped.values()) for stage in (*asked, ruled, kept))
        assert accepted == answer.rows_in == answer.rows_out["Answer"] + sum(answer.dropped.values())
        assert answer.rows_out["Answer"] == ruled.rows_in
        assert accepted <= 40
        train = made[f"train-{number}"]
        told = Trained.read(folder(run, f"train-{number}"))
        assert told.rows + told.held_out + told.too_long == train.rows_in == kept.rows_out["Chat"]


def test_the_table_is_told_everywhere_and_the_dataset_is_the_best_iteration_s(run):
    report = json.loads((run / "iterations.json").read_text())
    told = report["iterations"]
    assert [one["iteration"] for one in told] == [0, 1, 2]
    for one in told:
        grades = pl.read_parquet(folder(run, f"graded-{one['iteration']}") / "part-00000.parquet")
        assert one["exam"] == pytest.approx(grades["value"].mean())
        assert one["exam_low"] <= one["exam"] <= one["exam_high"]
        assert grades.height == 40
    best = max(told[1:], key=lambda one: one["exam"])
    assert report["best"] == best["iteration"]
    assert (run / "model").resolve() == (folder(run, f"train-{report['best']}") / f"base-isheep-{report['best']}").resolve()
    lessons = pl.read_parquet(run / "dataset" / "sft" / "*.parquet")
    trained_on = pl.read_parquet(folder(run, f"train-{report['best']}") / "rows.parquet")
    assert lessons["messages"].to_list() == trained_on["messages"].to_list()
    page = (run / "report.html").read_text()
    assert "Iterations" in page
    assert page.count('class="line s0"') >= 4


def test_no_question_of_the_exam_and_no_text_twice_is_trained_on(run):
    for number in (1, 2):
        rows = pl.read_parquet(folder(run, f"train-{number}") / "rows.parquet")["messages"].to_list()
        asked = [messages[0]["content"] for messages in rows]
        assert len(set(asked)) == len(asked) > 0
        assert not set(asked) & set(QUICK.questions())


def test_a_second_run_reuses_all_and_an_option_reuses_what_it_does_not_touch(run, prefect_server):
    runs = run.parent
    before = {path: path.stat().st_mtime_ns for path in run.rglob("stages/**/*") if path.is_file()}
    build(recipe(), runs)
    assert before == {path: path.stat().st_mtime_ns for path in run.rglob("stages/**/*") if path.is_file()}
    build(recipe("generate.keep=random", "generate.iterations=1"), runs)
    drawn = [path for path in run.glob("stages/*-keep-1-*")]
    sizes = {path: pl.read_parquet(path / "part-00000.parquet").height for path in drawn}
    assert len(drawn) == 2
    assert len(set(sizes.values())) == 1, "the control is as large as what it controls for"
    assert len(list(run.glob("stages/*-answer-1-*"))) == 1, "it shares what comes before it"


def test_a_training_that_diverges_says_so_and_leaves_the_last_good_model(run, prefect_server):
    before = (run / "model").resolve()
    with pytest.raises(TrainingError, match=r"(loss|grad_norm) is (nan|inf) at step \d+"):
        build(recipe("generate.train.rate=1.0e+12"), run.parent)
    assert json.loads((run / "iterations.json").read_text())["stopped"].startswith("iteration 1 stopped: ")
    assert (run / "model").resolve() == before
    assert (run / "model" / "model.safetensors").is_file()


def test_a_training_that_is_killed_stops_its_iteration_and_the_same_command_goes_on(run, prefect_server):
    """As a kernel short of memory kills; here the process that trains the third model."""

    def kill():
        ends = time.monotonic() + 600
        while time.monotonic() < ends:
            for process in psutil.process_iter(["cmdline"]):
                at_work = any(run.glob("stages/*-train-3-*/rows.parquet"))
                if at_work and "ray::_tuned" in " ".join(process.info["cmdline"] or ()):
                    process.kill()
                    return
            time.sleep(0.05)

    killer = threading.Thread(target=kill)
    killer.start()
    build(recipe("generate.iterations=3"), run.parent)
    killer.join()
    report = json.loads((run / "iterations.json").read_text())
    assert report["stopped"].startswith("iteration 3 stopped: the training's process was killed")
    assert [one["iteration"] for one in report["iterations"]] == [0, 1, 2]
    assert (run / "model" / "model.safetensors").is_file()
    assert (run / "manifest.json").is_file()

    build(recipe("generate.iterations=3"), run.parent)
    assert [one["iteration"] for one in json.loads((run / "iterations.json").read_text())["iterations"]] == [0, 1, 2, 3]


# -- without a model -----------------------------------------------------------------------------------------------------


def test_an_exam_is_found_by_its_path_or_refused_with_the_reason():
    assert load_exam("rookery.data.world.exam:HELD_OUT") is HELD_OUT
    for path, reason in (
        ("rookery.data.world.exam:HELDOUT", "no exam"),
        ("rookery.data.no_such", "no exam"),
        ("rookery.data.world.checker", "has no questions and no grade"),
    ):
        with pytest.raises(ExamError, match=reason):
            load_exam(path)


def test_the_world_s_exam_knows_right_from_wrong():
    questions = HELD_OUT.questions()
    assert len(set(questions)) == HELD_OUT.count
    assert questions == WorldExam().questions()
    tasks = [read_task(question) for question in questions]
    assert sum(task is not None for task in tasks) >= 0.97 * len(tasks), "questions that the world cannot read cannot be passed"
    assert HELD_OUT.grade("What is 2 plus 3?", "2 plus 3 is 5.") == 1.0
    assert HELD_OUT.grade("What is 2 plus 3?", "2 plus 3 is 6.") == 0.0
    assert HELD_OUT.grade("What is 2 plus 3?", "") == 0.0


def test_the_interval_holds_the_mean_and_narrows_with_more():
    few, many = np.arange(20) % 2.0, np.arange(2000) % 2.0
    for values in (few, many):
        low, high = interval(values)
        assert low <= values.mean() <= high
    assert np.diff(interval(many)) < np.diff(interval(few))
    assert np.diff(interval(many)).item() == pytest.approx(2 * 1.96 * 0.5 / 2000**0.5, rel=0.1)
    assert interval(np.ones(5)) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"assess": None, "keep": "random"}, "keep=random takes as many as self-assessment would"),
        ({"answer_rules": ["role_lin"]}, "'role_line'"),
        ({"setting": "two_base"}, "'one_base', 'one_last'"),
        ({"train": {"engine": "second"}}, "no engine second"),
    ],
)
def test_a_loop_that_cannot_be_is_refused_at_once(change, fault):
    generate = {"method": "isheep", "seeds": str(DEMO / "seeds.jsonl"), **change}
    with pytest.raises(RecipeError, match=fault):
        parse({"name": "t", "engines": {"main": {"engine": "fake"}}, "generate": generate})


# -- kill -9 -------------------------------------------------------------------------------------------------------------


def start(runs: Path, file: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "rookery", "build", str(file), "--runs", str(runs)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)


def until(seen, process):
    ends = time.monotonic() + 900
    while process.poll() is None and time.monotonic() < ends:
        if seen():
            return
        time.sleep(0.05)
    raise AssertionError(f"never seen: {process.communicate()[0]}")


@pytest.mark.proof
def test_kill_9_during_generation_and_during_training_loses_nothing(tmp_path, prefect_server):
    """Killed while answers are written and again between two checkpoints, it ends with the bytes of a run that nobody killed."""
    tree = yaml.safe_load((ROOT / "data" / "recipes" / "isheep.yaml").read_text())
    tree["engines"]["main"]["model"] = str(DEMO / "base")
    more = {"rows": 150, "iterations": 1, "above": 0, "seeds": str(DEMO / "seeds.jsonl")}
    tree["generate"] |= more
    tree["generate"]["train"] |= {"epochs": 6, "checkpoint_steps": 4, "batch": 8}
    file = tmp_path / "isheep.yaml"
    file.write_text(yaml.safe_dump(tree))
    whole = start(tmp_path / "whole", file)
    assert whole.wait(1500) == 0, whole.communicate()[0]

    runs = tmp_path / "killed"
    signs = [
        lambda: any(path.stat().st_size for path in runs.glob("isheep/stages/*-answer-1-*/journal")),
        lambda: any(runs.glob("isheep/stages/*-train-1-*/checkpoints/checkpoint-*/committed")),
    ]
    for sign in signs:
        process = start(runs, file)
        until(sign, process)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    last = start(runs, file)
    said = last.communicate(timeout=1500)[0]
    assert last.returncode == 0, said
    assert Trained.read(folder(runs / "isheep", "train-1")).resumed_at > 0
    for pattern in ("dataset/sft/*.parquet", "stages/*-train-1-*/rows.parquet"):
        [one], [other] = (list((top / "isheep").glob(pattern)) for top in (tmp_path / "whole", runs))
        assert one.read_bytes() == other.read_bytes()
    tables = [json.loads((top / "isheep" / "iterations.json").read_text()) for top in (tmp_path / "whole", runs)]
    assert tables[0]["iterations"][1]["kept"] == tables[1]["iterations"][1]["kept"]
