"""Selection from files: any format, any order of rows, what is dropped and why, the comparison, the command line."""

import json
import time

import numpy as np
import polars as pl
import pytest
import typer
from pools import clustered
from typer.testing import CliRunner

from rookery.flows import select_cli
from rookery.flows.select import METHODS, Given, rows_of, select_pool
from rookery.flows.select_compare import compare_selectors
from rookery.flows.select_pool import PoolError, read_pool
from rookery.selectors.deita import deita


class Words:
    """An encoder by hand: hashes of words into 16 places."""

    name, dimensions = "words@1", 16

    def encode(self, texts):
        rows = np.zeros((len(texts), 16), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in text.split():
                rows[row, sum(word.encode()) % 16] += 1
        return rows


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    words = ["red", "green", "sun", "moon", "tree", "river", "stone", "bird"]
    return pl.DataFrame({
        "id": [f"row-{i:03d}" for i in rng.permutation(60)],
        "prompt": [" ".join(rng.choice(words, size=4)) for _ in range(60)],
        "response": [" ".join(rng.choice(words, size=1 + i % 7)) for i in range(60)],
        "quality": (rng.normal(size=60).round(1) + 5).tolist(),
        "ifd": rng.uniform(0.2, 0.95, size=60).tolist(),
        "tags": [rng.choice(words, size=i % 3, replace=False).tolist() for i in range(60)],
        "source": [("a", "b", "b")[i % 3] for i in range(60)],
    })  # fmt: skip


def given(**more):
    return Given(**{"score": ("quality",), "encoder": Words, **more})


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.filterwarnings("ignore::rookery.selectors.picks.Shortfall")
def test_every_method_runs_and_does_not_depend_on_the_order_of_the_file(tmp_path, frame, method):
    ids = []
    for number, rows in enumerate((frame, frame.reverse(), frame.sample(fraction=1, shuffle=True, seed=1))):
        rows.write_parquet(tmp_path / "pool.parquet")
        targets = read_pool(str(tmp_path / "pool.parquet")).rows([0, 1, 2])
        score = ("ifd",) if method == "ifd" else ("quality",)
        said = given(score=score, tags="tags", targets=targets)
        manifest = select_pool(str(tmp_path / "pool.parquet"), method, 6, tmp_path / f"out{number}", said)
        chosen = pl.read_parquet(tmp_path / f"out{number}" / "selected.parquet")
        assert chosen["rank"].to_list() == list(range(1, len(chosen) + 1))
        assert manifest["selected"] == len(chosen) == 6
        ids.append(chosen["id"].to_list())
    assert ids[0] == ids[1] == ids[2]


def test_the_flow_gives_what_the_function_gives(tmp_path, frame):
    pool = read_pool(_written(frame, tmp_path))
    vectors = Words().encode(pool.texts.to_list())
    rows = deita(vectors, pool.column("quality").to_numpy(), 5, ceiling=0.8).rows_K
    select_pool(pool, "deita", 5, tmp_path / "out", given(settings={"ceiling": "0.8"}))
    assert pl.read_parquet(tmp_path / "out" / "selected.parquet")["id"].to_list() == pool.frame["id"][rows].to_list()


def test_what_cannot_be_compared_is_dropped_by_name(tmp_path, frame):
    broken = frame.with_columns(
        quality=pl.when(pl.int_range(pl.len()) == 3).then(None).otherwise(pl.col("quality")),
        prompt=pl.when(pl.int_range(pl.len()) == 5).then(pl.lit("")).otherwise(pl.col("prompt")),
        response=pl.when(pl.int_range(pl.len()) == 5).then(pl.lit("")).otherwise(pl.col("response")),
    )
    manifest = select_pool(_written(broken, tmp_path), "deita_relaxed", 58, tmp_path / "out", given())
    dropped = pl.read_parquet(tmp_path / "out" / "dropped.parquet")
    assert dict(dropped.select("id", "reason").iter_rows()) == {
        frame["id"][3]: "not_finite_score",
        frame["id"][5]: "zero_vector",
    }
    assert manifest["dropped"] == {"not_finite_score": 1, "zero_vector": 1}
    assert manifest["selected"] == 58
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["settings"] == {"ceiling": 0.9, "step": 0.01}


def test_quotas_over_a_column(tmp_path, frame):
    select_pool(_written(frame, tmp_path), "deita_relaxed", 12, tmp_path / "out", given(stratify="source"))
    chosen = pl.read_parquet(tmp_path / "out" / "selected.parquet")
    assert dict(chosen.group_by("source").len().iter_rows()) == {"a": 4, "b": 8}


def test_formats_and_shapes_of_pools(tmp_path):
    said = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    shapes = {
        "messages": {"messages": [said]},
        "sharegpt": {"conversations": [[{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}]]},
        "pair": {"prompt": [said[:1]], "chosen": [said[1:]], "rejected": [[{"role": "assistant", "content": "no"}]]},
        "plain": {"instruction": ["hi"], "output": ["hello"]},
    }
    for name, columns in shapes.items():
        pl.DataFrame(columns).write_parquet(tmp_path / f"{name}.parquet")
        pl.DataFrame(columns).write_ndjson(tmp_path / f"{name}.jsonl")
        for end in ("parquet", "jsonl"):
            pool = read_pool(str(tmp_path / f"{name}.{end}"))
            assert (pool.texts[0], pool.responses[0], pool.turns[0]) == ("hi\nhello", "hello", 2)
    twice = pl.DataFrame({"text": ["same", "same", "other"]})
    pool = read_pool(_written(twice, tmp_path))
    assert pool.frame["id"].n_unique() == 3
    assert pool.frame["id"].to_list() == read_pool(_written(twice.reverse(), tmp_path)).frame["id"].to_list()
    (tmp_path / "many").mkdir()
    for i in range(3):
        pl.DataFrame({"id": [f"{i}"], "text": ["x"]}).write_parquet(tmp_path / "many" / f"{i}.parquet")
    assert read_pool(str(tmp_path / "many")).frame.height == 3


def test_refusals_say_what_and_what_to_do(tmp_path, frame):
    path = _written(frame, tmp_path)
    for call, message in [
        (lambda: select_pool(path, "detia", 5, tmp_path), "no method 'detia'; there are deita"),
        (lambda: select_pool(path, "deita", "ten", tmp_path, given()), "budget 'ten': expected"),
        (lambda: select_pool(path, "deita", 5, tmp_path, given(score=())), "--score .numeric: quality, ifd"),
        (lambda: select_pool(path, "deita", 5, tmp_path, given(score=("qual",))), "no column 'qual'"),
        (lambda: select_pool(path, "deita", 5, tmp_path, given(settings={"celing": 1})), "no setting celing; it has ceiling"),
        (lambda: select_pool(path, "deita", 5, tmp_path, given(settings={"ceiling": "x"})), "ceiling='x': expected float"),
        (lambda: select_pool(path, "instag", 5, tmp_path, given()), "--tags"),
        (lambda: select_pool(path, "rds", 5, tmp_path, given()), "--targets"),
        (lambda: read_pool(str(tmp_path / "nowhere")), "no file, no folder"),
        (lambda: read_pool(_written(pl.DataFrame({"n": [1]}), tmp_path)), "no text among the columns n"),
        (lambda: read_pool(_written(pl.DataFrame({"id": ["a", "a"], "text": ["x", "y"]}), tmp_path)), "share an id"),
    ]:
        with pytest.raises(PoolError, match=message):
            call()
    assert (rows_of("10%", 60), rows_of(7, 60), rows_of("7", 60)) == (6, 7, 7)


def test_comparison_has_the_controls_and_says_who_could_not_run(tmp_path, frame):
    found = compare_selectors(_written(frame, tmp_path), ["deita", "mig", "k_center"], 10, tmp_path / "c", given())
    assert found.table["method"].to_list() == ["deita", "k_center", "random", "longest"]
    assert "needs tags" in found.refused["mig"]
    assert [found.overlap[name][i] for i, name in enumerate(found.table["method"])] == [1.0] * 4
    columns = set(found.table.columns)
    assert {"score_mean", "novelsum", "coverage", "nearest_p50", "turns", "response_chars", "sources", "seconds"} <= columns
    assert all(shares.sum() == pytest.approx(1) for shares in found.nearest.values())
    assert (tmp_path / "c" / "comparison.svg").read_text().startswith("<svg")
    assert "| deita |" in (tmp_path / "c" / "comparison.md").read_text()
    assert json.loads((tmp_path / "c" / "comparison.json").read_text())["budget"] == 10
    assert len(pl.read_parquet(tmp_path / "c" / "chosen.parquet")) == 40


def test_diversity_is_seen_by_the_measures(tmp_path):
    rng = np.random.default_rng(3)
    vectors = clustered(rng, 400, 16, 8, 0.05).astype(np.float32)
    pool = pl.DataFrame({"id": [f"{i:04d}" for i in range(400)], "text": ["x"] * 400, "s": vectors[:, 0].astype(float)})
    found = compare_selectors(_written(pool, tmp_path), ["k_center", "highest"], 16, None, given(score=("s",), vectors=vectors))
    by = {row["method"]: row for row in found.table.iter_rows(named=True)}
    assert by["k_center"]["novelsum"] > by["highest"]["novelsum"]
    assert by["k_center"]["coverage"] > by["highest"]["coverage"]
    assert by["k_center"]["nearest_p50"] < by["highest"]["nearest_p50"]


def test_the_command_line(tmp_path, frame):
    app = typer.Typer()
    app.command()(select_cli.select)
    app.command()(select_cli.compare_selectors)
    np.save(tmp_path / "v.npy", Words().encode(read_pool(_written(frame, tmp_path)).texts.to_list()))
    shared = [str(tmp_path / "pool.parquet"), "--budget", "5", "--score", "quality", "--vectors", str(tmp_path / "v.npy")]
    done = CliRunner().invoke(app, ["select", *shared, "--out", str(tmp_path / "o"), "--set", "ceiling=0.99"])
    assert done.exit_code == 0, done.output
    assert "5 of 60 rows" in done.output
    done = CliRunner().invoke(app, ["compare-selectors", *shared, "--out", str(tmp_path / "c"), "--methods", "qdit"])
    assert done.exit_code == 0, done.output
    assert "qdit" in done.output
    assert "random" in done.output
    done = CliRunner().invoke(app, ["select", *shared, "--out", str(tmp_path / "o"), "--method", "nope"])
    assert done.exit_code == 1
    assert "no method 'nope'" in done.output


def test_work_that_counts_nothing_still_shows_that_it_goes_on(capsys):
    with select_cli._bar() as progress:
        began = time.monotonic()
        while "working" not in (shown := capsys.readouterr().err):
            assert time.monotonic() - began < 60, shown
            time.sleep(0.1)
        progress(3, 1000)


def _written(frame, folder):
    frame.write_parquet(folder / "pool.parquet")
    return str(folder / "pool.parquet")
