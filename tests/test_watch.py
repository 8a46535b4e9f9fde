"""What a run's folder tells from outside: finished, at work, silent since it was killed."""

import os

import pytest
from typer.testing import CliRunner

from rookery.__main__ import app
from rookery.flows.store import StageFolder
from rookery.flows.watch import FRESH_SECONDS, NotARun, stages
from rookery.schemas.manifest import StageManifest, StageStatus
from rookery.schemas.tables import Drop

NOW = 1e9


def status(at):
    return StageStatus(stage="answer", rows=40, done=10, dropped={"empty": 2}, tokens_out=600, seconds=3.0, at=at)


def folder(run, name, age=0):
    path = run / "stages" / name
    path.mkdir(parents=True)
    os.utime(path, (NOW - age, NOW - age))
    return StageFolder(path)


def test_stages_are_told_in_order_and_only_the_newest_of_a_place(tmp_path):
    (tmp_path / "recipe.yaml").write_text("name: x")
    done = folder(tmp_path, "01-generate-aaaa")
    done.commit(0, Drop, [Drop("d", "generate", "empty", "", "")], ())
    done.finish(
        StageManifest(
            stage="generate", fingerprint="a", made_from={}, rows_in=50, rows_out={}, dropped={"empty": 1}, parts=done.parts()
        )
    )
    old, new = folder(tmp_path, "02-answer-bbbb", age=500), folder(tmp_path, "02-answer-cccc")
    old.tell(status(NOW - 500))
    new.tell(status(NOW - 1))
    os.utime(old.path, (NOW - 500, NOW - 500))
    first, second = stages(tmp_path, NOW)
    assert (first.state, first.told.stage, first.told.done) == ("finished", "generate", 50)
    assert (second.state, second.told.done, second.told.rows) == ("at work", 10, 40)
    assert [stage.state for stage in stages(tmp_path, NOW + FRESH_SECONDS)] == ["finished", "silent"]


def test_the_command_prints_the_table(tmp_path):
    (tmp_path / "recipe.yaml").write_text("name: x")
    folder(tmp_path, "02-answer-cccc").tell(status(NOW))
    said = CliRunner().invoke(app, ["watch", "--once", str(tmp_path)]).output
    assert "200" in said, "tokens per second"
    assert "empty 2" in said


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(NotARun, match="name a folder that"):
        stages(tmp_path, NOW)
