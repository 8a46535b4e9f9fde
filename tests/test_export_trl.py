"""TRL is the judge of the exports: its own functions under twenty hash seeds, its own trainers for a step."""

import ast
import importlib.util
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest

from rookery.flows import export, export_more
from rookery.generators.goals import Goals
from rookery.schemas.tables import Answer, Chat, Preference, Sampling, Score, Turn, frame

pytest.importorskip("datasets")
TRL = importlib.util.find_spec("trl")
pytestmark = pytest.mark.skipif(TRL is None, reason="needs the extra `train`")

SEEDS = range(20)
FUNCTIONS = ("is_conversational", "extract_prompt", "maybe_extract_prompt")
RUNNER = Path(__file__).parent.parent / "bench" / "trl_preparation.py"
DRAWN = Sampling(0.8, 1.0, 64, None)
TRICKY = ["007", "2024-01-01", "naïve 猫 👩‍👩‍👧", "tab\tnul\x00", "<|im_end|>", " blanks ", "line\nline", "x" * 3000]
# Run under each hash seed: TRL's functions, cut out of its file, so that no torch need be imported twenty times.
PROBE = """
import json, sys
from collections.abc import Sequence
from typing import Any
source, rows = sys.stdin.read().split("\\x1e")
exec(source)
def side(name, row):
    row = maybe_extract_prompt(dict(row))
    return [is_conversational(row), {k: len(v) for k, v in row.items() if k in ("prompt", "chosen", "rejected")}]
print(json.dumps({name: [side(name, row) for row in group] for name, group in json.loads(rows).items()}))
"""


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    """Folder of Parquet files, and the frames."""
    chats, answers, scores, pairs = [], [], [], []
    for i, text in enumerate(TRICKY):
        history = [Turn("user", "hi"), Turn("assistant", text)] if i % 2 else []
        system = [Turn("system", "Be brief.")] if i % 3 == 0 else []
        chats.append(Chat(f"p{i}", [], [*system, *history, Turn("user", text)], "magpie", "m", "r", DRAWN, "stop", 1, 1))
        for j, value in enumerate((5.0, 1.0)):
            answers.append(Answer(f"p{i}a{j}", f"p{i}", j, f"{j} {text}", "independent", "m", "r", DRAWN, "stop", 1, 1))
            scores.append(Score(f"p{i}a{j}", "rating", value, None, "j", None))
        pairs.append(Preference(f"q{i}", f"p{i}", f"p{i}a0", f"p{i}a1", 5.0, 1.0, 4.0, "best_worst"))
    tables = frame(Chat, chats), frame(Answer, answers)
    made = {
        "default": export.default(*tables, frame(Preference, pairs))[0],
        "unpaired": export.unpaired(*tables, frame(Score, scores), hi=4, lo=2)[0],
        "sft": export.sft(*tables, frame(Score, scores))[0],
        "reward_augmented": export_more.reward_augmented(*tables, frame(Preference, pairs), Goals())[0],
    }
    folder = tmp_path_factory.mktemp("dataset")
    for name, table in made.items():
        (folder / name).mkdir()
        table.write_parquet(folder / name / "train-00000-of-00001.parquet")
    return folder, made


@cache
def trl_functions(*names):
    tree = ast.parse((Path(TRL.submodule_search_locations[0]) / "data_utils.py").read_text())
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in names]
    assert len(found) == len(names)
    return "\n\n".join(ast.unparse(node) for node in found)


def under(seed, rows):
    source = trl_functions(*FUNCTIONS)
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        input=source + "\x1e" + json.dumps(rows),
        env={**os.environ, "PYTHONHASHSEED": str(seed)},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_trl_sees_conversations_in_every_row_under_twenty_hash_seeds(exports):
    rows = {name: table.to_dicts() for name, table in exports[1].items()}
    trl_functions(*FUNCTIONS)  # once, here: CPython 3.11 cannot build syntax trees in two threads at a time
    with ThreadPoolExecutor(2) as pool:
        seen = list(pool.map(lambda seed: under(seed, rows), SEEDS))
    assert all(other == seen[0] for other in seen)
    for name, verdicts in seen[0].items():
        assert len(verdicts) == exports[1][name].height > 0
        assert all(conversational for conversational, _ in verdicts)
    for (_, lengths), row in zip(seen[0]["default"], rows["default"], strict=True):
        assert lengths == {"prompt": len(row["prompt"]), "chosen": 1, "rejected": 1}


def test_the_shape_that_peers_publish_flips_with_the_hash_seed():
    """Else the test above proves nothing: a string prompt beside message lists is a conversation on some seeds only."""
    row = {
        "prompt": "hi",
        "chosen": [{"role": "user", "content": "hi"}],
        "rejected": [{"role": "user", "content": "hi"}],
    }
    bare = trl_functions("is_conversational") + f"\nprint(is_conversational({row!r}))"
    environments = [{**os.environ, "PYTHONHASHSEED": str(seed)} for seed in SEEDS]
    runs = [
        subprocess.run([sys.executable, "-c", "from typing import Any\n" + bare], env=env, capture_output=True, text=True)
        for env in environments
    ]
    assert {run.stdout.strip() for run in runs} == {"True", "False"}


def test_trl_s_verdict_hangs_on_no_single_column(exports):
    """All orders at once: whichever column TRL happens to look at, it sees messages."""
    scope = {}
    exec("from typing import Any\n" + trl_functions("is_conversational"), scope)
    for table in exports[1].values():
        looked_at = {"prompt", "chosen", "rejected", "completion", "messages"} & set(table.columns)
        assert looked_at
        assert all(scope["is_conversational"]({name: row[name]}) for row in table.to_dicts() for name in looked_at)


def test_labels_are_booleans_and_nothing_else(exports):
    from datasets import load_dataset

    path = next((exports[0] / "unpaired").glob("*.parquet"))
    labels = load_dataset("parquet", data_files=str(path), split="train")["label"]
    assert all(label is True or label is False for label in labels)
    assert {True, False} == set(labels)


def test_trl_s_trainers_take_every_export(exports):
    """One step of DPO (also with BCO's loss), KTO, Reward, SFT. Twenty seeds: `bench/trl_preparation.py --seeds 20`."""
    quiet = {**os.environ, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONHASHSEED": "1"}
    done = subprocess.run([sys.executable, str(RUNNER), str(exports[0])], env=quiet, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    found = json.loads(line.removeprefix("RESULT "))
    assert {name.split()[1] for name in found} == {"DPO", "KTO", "Reward", "SFT"}
    assert "default DPO bco_pair" in found
    assert all(result["kept"] > 0 and result["loss"] == result["loss"] for result in found.values())
