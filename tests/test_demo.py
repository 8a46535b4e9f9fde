"""A newcomer's path, in small: the demo recipe through the command line, then `datasets` and TRL take what came out."""

import subprocess
import sys

import polars as pl
import pytest
from support import DEMO, ROOT

ROWS = 48


def rookery(*arguments, cwd):
    command = [sys.executable, "-m", "rookery", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=900, check=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory, prefect_server):
    """Two real vLLM engines, Ray and Prefect."""
    folder = tmp_path_factory.mktemp("demo")
    settings = ("--set", f"generate.rows={ROWS}", "--set", "engines.main.actors=2")
    made = rookery("build", ROOT / "data/recipes/demo.yaml", *settings, cwd=folder)
    assert made.returncode == 0, made.stdout + made.stderr
    return folder / "runs" / "demo"


def test_the_dataset_is_there_and_right(run):
    pairs = pl.read_parquet(run / "dataset/default/train-*.parquet")
    assert pairs.height >= ROWS // 4
    for row in pairs.iter_rows(named=True):
        assert row["prompt"][-1]["role"] == "user"
        assert row["chosen"] != row["rejected"]
        assert row["score_margin"] > 0
    assert pl.read_parquet(run / "dataset/candidates/train-*.parquet").height > ROWS // 2


def test_one_engine_writes_the_same_bytes_as_two(run, tmp_path):
    made = rookery("build", ROOT / "data/recipes/demo.yaml", "--set", f"generate.rows={ROWS}", "--runs", tmp_path, cwd=tmp_path)
    assert made.returncode == 0, made.stdout + made.stderr
    for file in (run / "dataset").rglob("*.parquet"):
        assert file.read_bytes() == (tmp_path / "demo" / "dataset" / file.relative_to(run / "dataset")).read_bytes()


def test_show_prints_pairs_and_dropped_rows(run):
    shown = rookery("show", run, "--rows", 3, cwd=run)
    assert shown.returncode == 0, shown.stderr
    assert "chosen" in shown.stdout
    assert "3 of " in shown.stdout
    assert "pair" in rookery("show", run, "--dropped", cwd=run).stdout


def test_datasets_and_dpo_take_it_as_it_is(run, tmp_path):
    from datasets import load_dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import DPOConfig, DPOTrainer

    pairs = load_dataset("parquet", data_files=str(run / "dataset/default/*.parquet"), split="train", cache_dir=str(tmp_path))
    model = AutoModelForCausalLM.from_pretrained(DEMO / "chat")
    tokenizer = AutoTokenizer.from_pretrained(DEMO / "chat")
    arguments = DPOConfig(
        output_dir=str(tmp_path),
        max_steps=2,
        per_device_train_batch_size=4,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        bf16=False,
    )
    trainer = DPOTrainer(model=model, args=arguments, train_dataset=pairs, processing_class=tokenizer)
    assert len(trainer.train_dataset) == len(pairs), "TRL drops no row"
    assert trainer.train().metrics["train_loss"] > 0


def test_bad_input_is_refused_before_anything_starts(tmp_path, prefect_server):
    refused = rookery("build", ROOT / "data/recipes/demo.yaml", "--set", "generate.rows=0", "--set", "anser.k=2", cwd=tmp_path)
    assert refused.returncode == 1
    assert "generate.rows: 0: Input should be greater than 0" in refused.stderr
    assert "did you mean 'answer'?" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "runs").exists()
