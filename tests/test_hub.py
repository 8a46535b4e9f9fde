"""Laws of a release, through the real client against a server that fails: all or nothing, once, and private."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import polars as pl
import pytest
from huggingface_hub import HfApi, constants

from rookery.flows.hub import Patience, ReleaseError, publish, tag_of
from rookery.tests.hub_server import serving

QUICK = Patience(tries=6, first_wait_seconds=0.001, longest_wait_seconds=0.01)
TAG = tag_of("2026-11-23", "abcdef1234567890")
CARD = "---\nlicense: apache-2.0\ntags:\n- synthetic\n---\n\n# Pairs\n"


@pytest.fixture(autouse=True)
def _patient_client_in_a_hurry(monkeypatch):
    """The client's own waits between tries are cut short; its uploads go by LFS, which the server speaks."""
    real = time.sleep
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: real(min(seconds, 0.005)))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "dataset"
    for config in ("default", "sft"):
        (made / config).mkdir(parents=True)
        for i in range(2):
            pl.DataFrame({"x": [config] * 5, "i": [i] * 5}).write_parquet(made / config / f"train-{i:05d}-of-00002.parquet")
    (made / "README.md").write_text(CARD)
    (made / "manifest.json").write_text(json.dumps({"name": "demo"}))
    (made / ".default.tmp").mkdir()
    (made / ".default.tmp" / "half.parquet").write_bytes(b"half")
    return made


def release(hub, folder, **options):
    return publish(
        folder, "me/pairs", tag=options.pop("tag", TAG), api=HfApi(endpoint=hub.url, token="hf_x"), patience=QUICK, **options
    )


def wanted(folder):
    paths = [
        p for p in folder.rglob("*") if p.is_file() and not any(part.startswith(".") for part in p.relative_to(folder).parts)
    ]
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in paths}


def there(hub):
    return {name: data for name, data in hub.contents("me/pairs").items() if name != ".gitattributes"}


def test_a_release_is_one_commit_with_its_parent_private_and_tagged(folder):
    with serving() as hub:
        done = release(hub, folder)
        repo = hub.repos["me/pairs"]
        assert there(hub) == wanted(folder)
        assert repo.private
        assert len(repo.commits) == 2  # the one that made the repository, and ours
        assert repo.tags == {TAG: done.commit}
        assert TAG == "run-2026-11-23-abcdef123456"
        assert [line for line in hub.log if "/commit/" in line] == ["POST /api/datasets/me/pairs/commit/main"]
        assert max(i for i, line in enumerate(hub.log) if line.startswith("PUT")) < hub.log.index(
            "POST /api/datasets/me/pairs/commit/main"
        )


def test_nothing_is_pushed_twice(folder):
    with serving() as hub:
        first = release(hub, folder)
        uploads = len(hub.uploads)
        again = release(hub, folder, tag=tag_of("2026-11-24", "abcdef1234567890"))
        assert (again.commit, again.tag) == (first.commit, first.tag)
        assert again.plan.add == again.plan.delete == ()
        assert len(hub.uploads) == uploads
        assert len(hub.repos["me/pairs"].commits) == 2
        assert list(hub.repos["me/pairs"].tags) == [TAG]


def test_the_next_night_brings_what_is_new_and_takes_what_is_gone(folder):
    with serving() as hub:
        release(hub, folder)
        uploads = len(hub.uploads)
        (folder / "sft" / "train-00001-of-00002.parquet").unlink()
        pl.DataFrame({"x": ["new"]}).write_parquet(folder / "default" / "train-00000-of-00002.parquet")
        done = release(hub, folder, tag=tag_of("2026-11-24", "ffff"))
        assert there(hub) == wanted(folder)
        assert [file.name for file in done.plan.add] == ["default/train-00000-of-00002.parquet"]
        assert done.plan.delete == ("sft/train-00001-of-00002.parquet",)
        assert len(hub.uploads) == uploads + 1
        assert len(hub.repos["me/pairs"].commits) == 3
        assert len(hub.repos["me/pairs"].tags) == 2


def test_a_dry_run_asks_and_changes_nothing(folder):
    with serving() as hub:
        told = release(hub, folder, dry_run=True)
        assert len(told.plan.add) == 6
        assert told.commit is None
        assert told.plan.bytes_added == sum(map(len, wanted(folder).values()))
        assert hub.repos == {}
        assert all(line.startswith("GET") for line in hub.log)


def test_somebody_else_s_commit_is_kept_and_their_card_merged(folder):
    def they_edit(repo):
        theirs = b"---\nlicense: mit\ntags:\n- mine\nviewer: false\n---\nnotes"
        repo.blobs["e" * 40] = theirs
        repo.commit({**repo.head[1], "README.md": ("e" * 40, len(theirs), False), "NOTES.md": ("e" * 40, len(theirs), False)})

    with serving() as hub:
        hub.before_commit.append(they_edit)
        done = release(hub, folder)
        card = there(hub)["README.md"].decode()
        assert len(hub.repos["me/pairs"].commits) == 3
        assert "NOTES.md" in there(hub)
        assert "viewer: false" in card
        assert "- mine" in card
        assert "license: apache-2.0" in card
        assert hub.repos["me/pairs"].tags == {TAG: done.commit}
        assert len(hub.uploads) == len(set(hub.uploads)) == 4
        assert {k: v for k, v in there(hub).items() if k not in ("README.md", "NOTES.md")} == {
            k: v for k, v in wanted(folder).items() if k != "README.md"
        }


def requests_of_a_release(folder):
    with serving() as hub:
        release(hub, folder)
        return len(hub.log)


@pytest.mark.parametrize("fault", [412, 429, 500, 503, "html", "cut", "lost"])
def test_one_fault_at_any_request_is_survived(folder, fault):
    for number in range(requests_of_a_release(folder)):
        with serving() as hub:
            hub.faults[number] = fault
            done = release(hub, folder)
            assert there(hub) == wanted(folder), (number, hub.log)
            assert hub.repos["me/pairs"].tags == {TAG: done.commit}
            assert len(hub.repos["me/pairs"].commits) == 2, (number, hub.log)
            assert len(hub.uploads) - len(set(hub.uploads)) <= (fault == "lost")


def test_a_release_that_dies_at_any_request_leaves_all_or_nothing_and_goes_on(folder):
    for number in range(requests_of_a_release(folder)):
        with serving() as hub:
            hub.dead_from = number
            with pytest.raises(ReleaseError, match="run the same command again"):
                publish(folder, "me/pairs", tag=TAG, api=HfApi(endpoint=hub.url, token="hf_x"), patience=Patience(2, 0.001))
            state = there(hub) if "me/pairs" in hub.repos else {}
            assert state in ({}, wanted(folder)), number
            before = list(hub.uploads)
            hub.dead_from = None
            done = release(hub, folder)
            assert there(hub) == wanted(folder)
            assert len(hub.repos["me/pairs"].commits) == 2
            assert hub.repos["me/pairs"].tags == {TAG: done.commit}
            assert len(hub.uploads) == len(set(hub.uploads)) >= len(before)


@pytest.mark.parametrize("at", ["PUT", "/commit/", "/tag/"])
def test_a_process_killed_at_a_request_leaves_all_or_nothing(folder, at):
    code = (
        "import sys; from pathlib import Path; from huggingface_hub import HfApi; from rookery.flows.hub import publish\n"
        f"publish(Path(sys.argv[1]), 'me/pairs', tag={TAG!r}, api=HfApi(endpoint=sys.argv[2], token='hf_x'))"
    )
    env = {
        **os.environ,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_OFFLINE": "0",
        "PYTHONPATH": str(Path(__file__).parent.parent.parent),
    }
    with serving() as hub:
        killed = threading.Event()
        process = subprocess.Popen([sys.executable, "-c", code, str(folder), hub.url], env=env, stderr=subprocess.DEVNULL)

        def watch():
            while process.poll() is None and not any(at in line for line in hub.log):
                time.sleep(0.0005)
            process.send_signal(signal.SIGKILL)
            killed.set()

        threading.Thread(target=watch, daemon=True).start()
        process.wait(60)
        assert killed.wait(5)
        time.sleep(0.1)
        state = there(hub) if "me/pairs" in hub.repos else {}
        assert state in ({}, wanted(folder))
        release(hub, folder)
        assert there(hub) == wanted(folder)
        assert len(hub.repos["me/pairs"].commits) == 2
        assert list(hub.repos["me/pairs"].tags) == [TAG]


def test_a_no_is_a_no(folder):
    with serving() as hub:
        hub.faults = dict.fromkeys(range(20), 403)
        with pytest.raises(ReleaseError, match="may not write to me/pairs"):
            release(hub, folder)
        assert len(hub.log) <= 3


def test_an_empty_folder_is_refused(tmp_path):
    with serving() as hub, pytest.raises(ReleaseError, match="holds no files"):
        release(hub, tmp_path)
