"""Training through TRL on the demo model: what it leaves behind, what it refuses, and what a failure leaves alone."""

import importlib.util
import json
import os
import subprocess
import sys
import timeit

import polars as pl
import pytest
from support import DEMO

from rookery.flows.build import build
from rookery.flows.cluster import ClusterError, Crashed, Fleet
from rookery.flows.recipe_file import RecipeError, parse
from rookery.flows.training.spec import DPO, SFT, Job, Lora, Trained, TrainingError
from rookery.schemas.manifest import StageManifest

pytestmark = pytest.mark.skipif(importlib.util.find_spec("trl") is None, reason="needs the extra `train`")
LEAN = {"warmup_steps": 0, "max_length": 128, "batch": 4, "at_once": 2, "held_out": 0.0, "bf16": False}
# Memory is limited to what is there after the imports and a little more; then a step asks for gigabytes.
STARVED = """
import pickle, re, resource, sys
from pathlib import Path
from rookery.flows.training.trl import tune
job = pickle.loads(sys.stdin.buffer.read())
now = int(re.search(r"VmSize:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) << 10
resource.setrlimit(resource.RLIMIT_AS, (now + (700 << 20),) * 2)
tune(job)
"""


def turn(role, text):
    return {"role": role, "content": text}


def lessons(count, words=1):
    return [
        {"messages": [turn("user", f"What is {i} plus 1?"), turn("assistant", f"It is {i + 1}. " * words)]}
        for i in range(count)
    ]


def pairs(count):
    said = {"chosen": "Yes, of course.", "rejected": "I do not know."}
    return [
        {"prompt": [turn("user", f"Is {i} a number?")]} | {k: [turn("assistant", v)] for k, v in said.items()}
        for i in range(count)
    ]


def job(folder, tuning, rows, model="chat"):
    pl.DataFrame(rows).write_parquet(folder / "rows.parquet")
    return Job(
        tuning, str(DEMO / model), None, False, None, folder / "rows.parquet", folder / "checkpoints", folder / "made", 7
    )


def weights(folder):
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def distance(one, other):
    a, b = weights(one), weights(other)
    assert a.keys() == b.keys()
    return max(float((a[name].float() - b[name].float()).abs().max()) for name in a)


@pytest.mark.parametrize(
    ("tuning", "rows"),
    [
        (SFT(lora=None, rate=1e-3, epochs=4, **LEAN), lessons(8)),
        (SFT(lora=Lora(rank=4), rate=5e-3, epochs=4, **LEAN), lessons(8)),
        (DPO(lora=None, rate=1e-4, epochs=4, **LEAN), pairs(8)),
        (DPO(lora=Lora(rank=4), rate=5e-3, epochs=4, **LEAN), pairs(8)),
    ],
    ids=["sft, all weights", "sft, LoRA", "dpo, all weights", "dpo, LoRA"],
)
def test_a_training_leaves_a_whole_model_that_has_learnt(tmp_path, tuning, rows):
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    from rookery.flows.training.trl import tune

    told = tune(job(tmp_path, tuning, rows))
    made = tmp_path / "made"
    assert (told.rows, told.steps, told.resumed_at) == (8, 8, 0)
    assert told.losses[-1][1] < told.losses[0][1]
    assert distance(made, DEMO / "chat") > 0
    assert AutoConfig.from_pretrained(made).dtype == AutoConfig.from_pretrained(DEMO / "chat").dtype
    assert AutoModelForCausalLM.from_pretrained(made).generation_config.eos_token_id[0] == AutoTokenizer.from_pretrained(
        made
    ).convert_tokens_to_ids("<|im_end|>")
    assert AutoTokenizer.from_pretrained(made).chat_template == AutoTokenizer.from_pretrained(DEMO / "chat").chat_template
    assert not list(tmp_path.glob(".*.tmp"))


def test_the_loss_is_on_the_answer_alone(tmp_path):
    """Other answers to the same questions, another loss; other questions before masked text would show if they counted."""
    from transformers import AutoModelForCausalLM

    from rookery.flows.training.trl import _fitting, _tokenizer, _trainer

    given = job(tmp_path, SFT(lora=None, **LEAN), lessons(4))
    tokenizer = _tokenizer(given)
    rows, _ = _fitting(given, tokenizer)
    trainer = _trainer(given, AutoModelForCausalLM.from_pretrained(DEMO / "chat"), tokenizer, rows, [])
    batch = next(iter(trainer.get_train_dataloader()))
    learnt = [tokenizer.decode(ids[labels != -100]) for ids, labels in zip(batch["input_ids"], batch["labels"], strict=True)]
    assert all(text.startswith("It is ") and "<|im_end|>" in text and "plus" not in text for text in learnt)


def test_the_best_checkpoint_is_kept_and_not_the_last(tmp_path):
    """Held-out rows say something else than what is trained on: the longer it trains, the worse they become."""
    from rookery.flows.training.trl import tune

    told = tune(job(tmp_path, SFT(lora=None, rate=3e-3, epochs=6, **{**LEAN, "held_out": 0.25}), lessons(16)))
    losses = [loss for _, loss in told.held_out_losses]
    assert (told.rows, told.held_out) == (12, 4)
    assert len(losses) == 6
    assert told.best_held_out == min(losses)


def test_what_is_too_long_is_left_out_and_counted(tmp_path):
    from rookery.flows.training.trl import tune

    told = tune(job(tmp_path, SFT(lora=None, rate=1e-3, epochs=1, **LEAN), [*lessons(4), *lessons(2, words=100)]))
    assert (told.rows, told.too_long) == (4, 2)
    with pytest.raises(TrainingError, match="nothing to train on: 0 rows, 2 more are over max_length"):
        tune(job(tmp_path, SFT(lora=None, **LEAN), lessons(2, words=100)))


def test_a_loss_that_is_no_number_ends_it_and_saves_nothing(tmp_path):
    from rookery.flows.training.trl import MARKER, tune

    with pytest.raises(TrainingError, match=r"is (nan|inf) at step \d+ of 40.*Lower `rate`"):
        tune(job(tmp_path, SFT(lora=None, rate=1e12, epochs=20, **LEAN), lessons(8)))
    assert not (tmp_path / "made").exists()
    for checkpoint in tmp_path.glob("checkpoints/checkpoint-*"):
        assert (checkpoint / MARKER).exists()
        assert all(bool(value.isfinite().all()) for value in weights(checkpoint).values())


def test_want_of_memory_is_told_as_such(tmp_path):
    import pickle

    tuning = SFT(lora=None, rate=1e-3, **{**LEAN, "max_length": 1024, "batch": 256, "at_once": 256})
    given = pickle.dumps(job(tmp_path, tuning, lessons(256, words=80)))
    done = subprocess.run(
        [sys.executable, "-c", STARVED], input=given, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert b"TrainingError: out of memory with at_once=256" in done.stderr, done.stderr[-3000:]
    assert b"Lower `at_once` or `max_length`" in done.stderr
    assert not (tmp_path / "made").exists()


def test_a_torn_checkpoint_does_not_count(tmp_path):
    from rookery.flows.training.trl import tune

    torn = tmp_path / "checkpoints" / "checkpoint-2"
    torn.mkdir(parents=True)
    (torn / "model.safetensors").write_bytes(b"half a file")
    told = tune(job(tmp_path, SFT(lora=None, rate=1e-3, epochs=2, **LEAN), lessons(8)))
    assert told.resumed_at == 0


def test_a_stopped_training_goes_on_to_the_same_weights(tmp_path):
    """The second half of a training, from the first half's checkpoint, ends where the whole one ends."""
    import shutil

    from rookery.flows.training.trl import MARKER, tune

    whole, halves = tmp_path / "whole", tmp_path / "halves"
    whole.mkdir()
    halves.mkdir()
    tuning = SFT(lora=None, rate=1e-3, epochs=4, checkpoint_steps=2, **LEAN)
    tune(job(whole, tuning, lessons(8)))
    tune(job(halves, tuning, lessons(8)))
    kept = halves / "checkpoints" / "checkpoint-6"
    assert (kept / MARKER).is_file()
    shutil.rmtree(halves / "checkpoints" / "checkpoint-8")
    shutil.rmtree(halves / "made")
    told = tune(job(halves, tuning, lessons(8)))
    assert (told.resumed_at, told.steps) == (6, 8)
    assert [step for step, _ in told.losses] == list(range(1, 9))
    assert distance(whole / "made", halves / "made") < 1e-6


def test_an_errand_says_how_it_ended(ray_here):
    with Fleet({}, None) as fleet:
        assert fleet.errand(json.loads, "[3, 1]", cpus=0.1, gpus=0.0) == [3, 1]
        with pytest.raises(json.JSONDecodeError):
            fleet.errand(json.loads, "[3, 1", cpus=0.1, gpus=0.0)
        with pytest.raises(Crashed):
            fleet.errand(timeit.timeit, "import os; os._exit(1)", cpus=0.1, gpus=0.0)
        with pytest.raises(
            ClusterError, match=r"no machine of the cluster has 0.1 CPUs and 64 GPUs; there is 4 CPUs and 0 GPUs"
        ):
            fleet.errand(json.loads, "1", cpus=0.1, gpus=64.0)


@pytest.mark.parametrize(
    ("tree", "fault"),
    [
        ({"train": {"method": "dpo", "engine": "second"}}, "no engine second"),
        ({"train": {"method": "dpo"}, "export": {"configs": ["sft"]}}, "dpo takes the export 'default'"),
        ({"train": {"method": "sft", "batch": 6, "at_once": 4}}, "batch=6 is no multiple of at_once=4"),
        ({"train": {"method": "sft", "rat": 1}}, "did you mean 'rate'"),
    ],
)
def test_a_training_that_cannot_be_is_refused_at_once(tree, fault):
    with pytest.raises(RecipeError, match=fault):
        parse({"name": "t", "engines": {"main": {"engine": "fake"}}, "generate": {"method": "magpie", "rows": 2}, **tree})


def test_an_engine_without_weights_is_told_so(ray_here, prefect_server, tmp_path):
    recipe = {"engines": {"main": {"engine": "fake", "cpus": 0.1}}, "generate": {"method": "magpie", "rows": 4}}
    with pytest.raises(TrainingError, match=r"engine main .fake. has no weights to train"):
        build(parse({"name": "t", "train": {"method": "sft"}, **recipe}), tmp_path)


@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_any_recipe_may_end_in_a_training(ray_here, prefect_server, tmp_path, method):
    """Rows by the fake engine, a model of the demo's weights; a second run finds both there."""
    engines = {
        "main": {"engine": "fake", "cpus": 0.1, "words": 6},
        "student": {"engine": "vllm", "model": str(DEMO / "chat"), "cpus": 1},
    }
    train = {"method": method, "engine": "student", "lora": None, "rate": 1e-4, "epochs": 1, "cpus": 1, **LEAN}
    recipe = {"name": "t", "engines": engines, "generate": {"method": "magpie", "rows": 12}, "answer": {"k": 2}, "train": train}
    run = build(parse(recipe), tmp_path)
    [stage] = run.glob("stages/*-train-*")
    told = Trained.read(stage)
    assert told.rows == pl.read_parquet(run / "dataset" / ("sft" if method == "sft" else "default") / "*.parquet").height
    manifest = StageManifest.model_validate_json((stage / "manifest.json").read_text())
    assert {part.file for part in manifest.parts} >= {f"chat-{method}/model.safetensors", f"chat-{method}/config.json"}
    assert not (stage / "checkpoints").exists()
    assert stage.name in json.loads((run / "manifest.json").read_text())["stages"]
    assert "weights trained" in (run / "report.html").read_text()
    before = (stage / f"chat-{method}" / "model.safetensors").stat().st_mtime_ns
    build(parse(recipe), tmp_path)
    assert (stage / f"chat-{method}" / "model.safetensors").stat().st_mtime_ns == before
