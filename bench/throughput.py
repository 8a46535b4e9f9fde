"""What the framework costs: tokens/s of a run's generation stages against bare vLLM, and wall time against the ideal.

    python bench/throughput.py [--rows 2000] [--rounds 3]

Baseline 1 is `vllm.LLM.generate` on the same prompts (as text), sampling, seeds and model, in a process of its own, all prompts
in one call; runs alternate, so that both meet the same machine. Baseline 2 is arithmetic: rows x latency / rows in flight.
Loading a model counts on neither side.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rookery.flows import environment

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "data" / "demo" / "chat"

BARE = """
import json, os, sys, time
os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
os.environ["VLLM_CPU_KVCACHE_SPACE"] = "1"
from vllm import LLM, SamplingParams
prompts, model = json.load(open(sys.argv[1])), sys.argv[2]
llm = LLM(model, max_model_len=1024, enforce_eager=True, enable_chunked_prefill=False, max_num_seqs=256, seed=0)
def params(one):
    return SamplingParams(temperature=one["temperature"], seed=one["seed"], max_tokens=one["max_tokens"], stop_token_ids=one["stop"])
llm.generate([one["text"] for one in prompts[:64]], [params(one) for one in prompts[:64]], use_tqdm=False)
began = time.perf_counter()
out = llm.generate([one["text"] for one in prompts], [params(one) for one in prompts], use_tqdm=False)
seconds = time.perf_counter() - began
print(json.dumps({"tokens": sum(len(o.outputs[0].token_ids) for o in out), "seconds": seconds}))
"""


def recipe(rows: int, k: int) -> dict:
    """Magpie and its answers, as in the demo."""
    engine = {"engine": "vllm", "model": str(MODEL), "max_model_len": 1024, "enforce_eager": True}
    return {
        "name": "bench",
        "seed": 1,
        "engines": {"main": engine},
        "generate": {"method": "magpie", "rows": rows, "max_tokens": 128},
        "clean": {"rules": {"cut_off": {}}, "duplicates": "keep"},
        "answer": {"k": k, "max_tokens": 160},
    }


def flow(tree: dict, runs: Path) -> dict[str, tuple[int, float]]:
    """Tokens and seconds of the two generation stages of a whole run, in a process of its own."""
    code = (
        "import json, sys\nfrom pathlib import Path\nfrom rookery.flows import environment\nenvironment.prepare(offline=True)\n"
        "from rookery.flows.build import build\nfrom rookery.flows.recipe_file import parse\n"
        "build(parse(json.loads(sys.argv[1])), Path(sys.argv[2]))"
    )
    subprocess.run([sys.executable, "-c", code, json.dumps(tree), str(runs)], check=True, stdout=subprocess.DEVNULL)
    made = [json.loads(path.read_text()) for path in sorted((runs / tree["name"]).glob("stages/*/manifest.json"))]
    return {one["stage"]: (one["tokens_out"], one["seconds"]) for one in made if one["stage"] in {"generate", "answer"}}


def prompts_of(tree: dict, runs: Path) -> list[dict]:
    """What the flow's two stages asked, as bare vLLM takes it."""
    import polars as pl
    from transformers import AutoTokenizer

    from rookery.flows.build import seeds
    from rookery.flows.engines.tokens import Chatter
    from rookery.flows.recipe_file import parse
    from rookery.schemas.digest import seed_of
    from rookery.schemas.tables import Chat, Seed, rows

    chatter = Chatter(AutoTokenizer.from_pretrained(MODEL), "chat")
    stop, _ = chatter.user_stops()
    pre_query = chatter.cut().pre_query
    asked_for = parse(json.loads(json.dumps(tree)))
    started = rows(Seed, seeds(asked_for, tree["generate"]["rows"]))  # those that the stage dropped, too
    opened = [{"text": pre_query, "seed": row.seed, "temperature": 1.0, "max_tokens": 128, "stop": stop} for row in started]
    kept = rows(Chat, pl.read_parquet(runs / "bench/stages/02-clean-*/part-*.parquet"))
    asked = [
        {
            "text": chatter.render(c.turns, True),
            "seed": seed_of(c.id, "answer", i),
            "temperature": 0.8,
            "max_tokens": 160,
            "stop": None,
        }
        for c in kept
        for i in range(tree["answer"]["k"])
    ]
    return [*opened, *asked]


def bare(prompts: list[dict], folder: Path) -> tuple[int, float]:
    """Tokens and seconds of one `LLM.generate` call."""
    path = folder / "prompts.json"
    path.write_text(json.dumps(prompts))
    ran = subprocess.run([sys.executable, "-c", BARE, str(path), str(MODEL)], check=True, capture_output=True, text=True)
    told = json.loads(ran.stdout.strip().splitlines()[-1])
    return told["tokens"], told["seconds"]


def against_vllm(rows: int, k: int, rounds: int) -> None:
    """Alternate the flow and bare vLLM on the same work."""
    tree, ratios = recipe(rows, k), []
    print(f"magpie {rows} rows, {k} answers each, demo model; tokens/s of generation")
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            spent = flow(tree, Path(folder))
            tokens, seconds = (sum(each) for each in zip(*spent.values(), strict=True))
            bare_tokens, bare_seconds = bare(prompts_of(tree, Path(folder)), Path(folder))
        ratios.append((tokens / seconds) / (bare_tokens / bare_seconds))
        print(
            f"  round {number + 1}: flow {tokens:,} tokens {tokens / seconds:,.0f}/s; bare vLLM {bare_tokens:,} tokens "
            f"{bare_tokens / bare_seconds:,.0f}/s; ratio {ratios[-1]:.3f}"
        )
    print(f"flow / bare vLLM: median {statistics.median(ratios):.3f}, range {min(ratios):.3f} to {max(ratios):.3f}")


def against_ideal(rows: int, latency: float, in_flight: int, rounds: int) -> None:
    """The fake engine at a fixed latency: what is lost to dispatch, journal and progress."""
    engine = {"engine": "fake", "latency_seconds": latency, "in_flight": in_flight}
    tree = {"name": "bench", "engines": {"main": engine}, "generate": {"method": "magpie", "rows": rows}, "answer": {"k": 1}}
    ideal = -(-rows // in_flight) * latency
    shares = []
    print(f"fake engine, {latency * 1000:.0f} ms, {in_flight} in flight, {rows} rows: ideal {ideal:.2f} s")
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            seconds = flow(tree, Path(folder))["generate"][1]
        shares.append(ideal / seconds)
        print(f"  round {number + 1}: {seconds:.2f} s; ideal / wall {shares[-1]:.3f}")
    print(f"ideal / wall: median {statistics.median(shares):.3f}")


def main() -> None:
    """Both comparisons."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2000, help="Magpie rows of a round")
    parser.add_argument("--answers", type=int, default=4, help="answers to each")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=("vllm", "fake"), help="one of the two comparisons")
    parser.add_argument("--fake-rows", type=int, default=256 * 50)
    given = parser.parse_args()
    environment.prepare(offline=True)
    print(f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores")
    if given.only != "fake":
        against_vllm(given.rows, given.answers, given.rounds)
    if given.only != "vllm":
        against_ideal(given.fake_rows, 0.2, 256, given.rounds)


if __name__ == "__main__":
    main()
