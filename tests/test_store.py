"""The disk: nothing half-written is ever read, nothing committed is lost, and errors say what to do."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from support import ROOT

from rookery.flows.durable import Spent, StoreError, read_journal, write
from rookery.flows.store import RunFolder, StageFolder
from rookery.schemas.tables import Answer, Drop, Sampling

RECIPE = {"name": "a", "generate": {"method": "magpie"}}


def answer(i: int, text: str = "x") -> Answer:
    return Answer(f"a{i}", "p", i, text, "m", "model", "r", Sampling(1.0, 1.0, 5, None), "stop", 1, 1)


def test_a_torn_journal_gives_all_whole_lines_and_goes_on(tmp_path):
    stage = StageFolder(tmp_path)
    with stage.journal() as journal:
        journal.append([("one", [answer(1, "007 \u2028 \x00 ünï")])], Spent(1, 2, 0.5))
        journal.append([("two", [answer(2), Drop("d", "s", "r", "", "")])], Spent(3, 4, 0.5))
    whole = (tmp_path / "journal").read_bytes()
    for cut in range(len(whole)):
        (tmp_path / "journal").write_bytes(whole[:cut])
        done, spent = read_journal(tmp_path / "journal")
        lines = whole[:cut].count(b"\n")
        assert list(done) == ["one", "two"][: (lines + 1) // 2]
        assert spent.tokens_in == (0, 0, 1, 1, 4)[lines]
    with stage.journal() as journal:
        journal.append([("three", [])], Spent())
    done, _ = stage.journaled()
    assert done["three"] == []
    assert done["one"] == [answer(1, "007 \u2028 \x00 ünï")]


def test_a_line_with_a_wrong_checksum_ends_the_journal(tmp_path):
    stage = StageFolder(tmp_path)
    with stage.journal() as journal:
        journal.append([("one", [answer(1)]), ("two", [answer(2)])], Spent())
    text = (tmp_path / "journal").read_bytes()
    (tmp_path / "journal").write_bytes(text.replace(b'"a2"', b'"b2"'))
    assert list(stage.journaled()[0]) == ["one"]


def test_a_part_counts_only_when_its_main_table_is_there(tmp_path):
    stage = StageFolder(tmp_path)
    stage.commit(0, Answer, [answer(0), Drop("d", "s", "r", "", "t")], (Drop,))
    assert stage.committed(0)
    assert stage.read(Answer, Answer, 1)["id"].to_list() == ["a0"]
    assert stage.read(Drop, Answer, 1)["reason"].to_list() == ["r"]
    (tmp_path / "part-00000.parquet").unlink()
    assert not stage.committed(0), "the dropped rows alone do not make a part"


def test_one_process_at_a_time(tmp_path):
    code = f"from rookery.flows.store import RunFolder; from pathlib import Path\nwith RunFolder(Path({str(tmp_path)!r})): pass"
    with RunFolder(tmp_path):
        second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f"in use by process {os.getpid()}" in second.stderr
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_another_recipes_folder_is_refused(tmp_path):
    with RunFolder(tmp_path) as folder:
        folder.claim(RECIPE)
        folder.claim({**RECIPE, "seed": 1})  # an edit of the same recipe
        with pytest.raises(StoreError, match="written by another recipe: name is 'a' there, 'b' here"):
            folder.claim({**RECIPE, "name": "b"})


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with RunFolder(tmp_path) as folder, pytest.raises(StoreError, match=r"thesis.tex.*no run folder"):
        folder.claim(RECIPE)


def test_a_folder_that_cannot_be_written_is_refused_with_the_remedy(tmp_path):
    (tmp_path / "file").write_text("x")
    for place in (tmp_path / "file" / "run", Path("/proc/nowhere")):
        with pytest.raises(StoreError, match="choose another folder with --runs"), RunFolder(place):
            pass


def full_disk(code: str) -> subprocess.CompletedProcess:
    """Run code in a process whose files may not grow beyond 64 KiB, which is how a full disk looks to it."""
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))  # noqa: E731
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, preexec_fn=limit, check=False)


def test_a_full_disk_leaves_what_was_there(tmp_path):
    target = tmp_path / "manifest.json"
    write(target, b"whole")
    code = f"from rookery.flows.durable import write; from pathlib import Path; write(Path({str(target)!r}), b'x' * 10**6)"
    ran = full_disk(code)
    assert "StoreError" in ran.stderr
    assert "what was committed stays valid" in ran.stderr
    assert target.read_bytes() == b"whole"


def test_a_full_disk_while_a_part_is_written_commits_nothing(tmp_path):
    code = f"""
import random, string
from pathlib import Path
from rookery.flows.store import StageFolder
from rookery.schemas.tables import Answer, Drop, Sampling
text = "".join(random.Random(1).choices(string.printable, k=200_000))
stage = StageFolder(Path({str(tmp_path)!r}))
stage.commit(0, Answer, [Answer("a", "p", 0, text, "m", "m", "r", Sampling(1.0, 1.0, 5, None), "stop", 1, 1)], (Drop,))
"""
    ran = full_disk(code)
    assert "StoreError" in ran.stderr, ran.stderr
    assert not StageFolder(tmp_path).committed(0)


def test_the_journal_of_a_full_disk_stays_readable(tmp_path):
    code = f"""
from pathlib import Path
from rookery.flows.durable import Spent
from rookery.flows.store import StageFolder
from rookery.schemas.tables import Drop
with StageFolder(Path({str(tmp_path)!r})).journal() as journal:
    for i in range(10_000):
        journal.append([(str(i), [Drop(str(i), "s", "r", "", "text " * 20)])], Spent())
"""
    ran = full_disk(code)
    assert "StoreError" in ran.stderr, ran.stderr
    done, _ = StageFolder(tmp_path).journaled()
    assert list(done) == [str(i) for i in range(len(done))]
    assert len(done) > 100


def test_the_package_has_no_address_and_no_path_of_a_machine():
    """Guards the house rule on what is committed."""
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    hosts = ("pypi." + "org", "python" + "hosted.org", "registry." + "npmjs")
    for name in files:
        path = ROOT / name
        if path.suffix in {".py", ".md", ".toml", ".yaml", ".txt", ""} and path.is_file() and path.stat().st_size < 1 << 20:
            text = path.read_text(encoding="utf-8", errors="ignore")
            assert not [host for host in hosts if host in text], name
