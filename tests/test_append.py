"""Runs that add to what is published: no night repeats another, what is lacking is filled, and a release removes nothing."""

import hashlib
from pathlib import Path

import polars as pl
import pytest
from huggingface_hub import HfApi, constants
from support import free_port

from rookery.flows.append import Append, AppendError, Published, lacking
from rookery.flows.build import build
from rookery.flows.hub import Patience
from rookery.flows.published import published
from rookery.flows.recipe_file import RecipeError, edition_of, parse
from rookery.flows.release import release
from rookery.schemas.tables import Chat, Sampling, Turn, frame
from rookery.tests.hub_server import serving

QUICK = Patience(tries=2, first_wait_seconds=0.001)


def recipe(name="night", rows=200, words=3, append=None, **changes):
    """Texts of three words out of seventeen: two nights are bound to say the same now and then."""
    tree = {
        "name": name,
        "engines": {"main": {"engine": "fake", "cpus": 0.1, "words": words}},
        "generate": {"method": "magpie", "rows": rows},
        "clean": {"rules": {}},
        "append": {"duplicates": ["exact", "minhash"]} if append is None else append,
        "answer": {"k": 2},
        "export": {"configs": ["default", "candidates"]},
    }
    return parse({**tree, **changes})


def prompts(run: Path) -> list[str]:
    table = pl.read_parquet(run / "dataset/candidates/*.parquet")
    return table["prompt"].list.last().struct.field("content").to_list()


def digests(run: Path) -> dict[str, str]:
    return {f.name + f.parent.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in sorted(run.glob("dataset/*/*.parquet"))}


def dropped(run: Path) -> pl.DataFrame:
    return pl.read_parquet(run / "stages/*-append-*/dropped/*.parquet")


def chats(*texts: str) -> pl.DataFrame:
    drawn = Sampling(1.0, 1.0, 9, None)
    return frame(Chat, [Chat(f"p{i}", [], [Turn("user", t)], "m", "f", "0", drawn, "stop", 1, 1) for i, t in enumerate(texts)])


@pytest.mark.usefixtures("ray_here", "prefect_server")
def test_a_second_night_adds_no_duplicate_of_the_first(tmp_path):
    base = recipe()
    first = build(edition_of(base, "01"), tmp_path)
    second = build(edition_of(base, "02"), tmp_path)
    third = build(edition_of(base, "03"), tmp_path)
    said = [prompts(run) for run in (first, second, third)]
    everything = [text for night in said for text in night]
    assert all(said)
    assert len(everything) == len(set(everything))
    assert dropped(first).filter(pl.col("reason").str.contains("published")).is_empty(), "nothing was published before"
    repeated = dropped(third).filter(pl.col("reason") == "exact_duplicate_of_published")
    named = set(repeated["detail"].str.extract(r"repeats (night-\d+)/"))
    assert named == {"night-01", "night-02"}, "each says what it repeats"

    before = digests(second)
    assert build(edition_of(base, "02"), tmp_path) == second, "it sees neither itself nor the night after"
    assert digests(second) == before


@pytest.mark.usefixtures("ray_here", "prefect_server")
def test_another_thing_published_is_another_dataset(tmp_path):
    """What was read is a part of the fingerprint: rows judged new against one file are not served for another."""
    for name, content in (("a", '{"prompt": "Amber brook."}\n'), ("b", '{"prompt": "Nothing like it"}\n')):
        (tmp_path / f"{name}.jsonl").write_text(content)
    options = {"duplicates": ["exact"]}
    build(recipe(append={"to": str(tmp_path / "b.jsonl"), **options}, rows=40), tmp_path)
    run = build(recipe(append={"to": str(tmp_path / "a.jsonl"), **options}, rows=40), tmp_path)
    assert len(list(run.glob("stages/*-append-*"))) == 2
    assert len(list(run.glob("published-*.parquet"))) == 2


@pytest.mark.usefixtures("ray_here", "prefect_server")
def test_quotas_are_filled_that_earlier_nights_lacked(tmp_path):
    shares = {"Math": 1.0, "Planning": 1.0}
    (tmp_path / "old.jsonl").write_text(
        '{"prompt": "a sum", "task_category": "Math"}\n' * 1
        + "".join(f'{{"prompt": "sum number {i}", "task_category": "Math"}}\n' for i in range(9))
    )
    tree = {"tag": {"method": "magpie_tags"}, "choose": {"rows": 6, "shares": shares}, "export": {"configs": ["candidates"]}}
    append = {"to": str(tmp_path / "old.jsonl"), "duplicates": ["exact"], "quotas": True}
    run = build(recipe(append=append, rows=150, words=9, **tree), tmp_path)
    scores = pl.concat([pl.read_parquet(file) for file in run.glob("stages/*-tag-*/part-*.parquet")])
    kinds = scores.filter(pl.col("name") == "task_category")
    kept = pl.read_parquet(run / "dataset/candidates/*.parquet")["prompt_id"].to_list()
    assert set(kinds.filter(pl.col("about").is_in(kept))["label"]) == {"Planning"}, "of Math there was more than its share"
    assert 0 < len(kept) <= 6


def test_shares_of_what_is_lacking():
    assert lacking({"a": 1, "b": 1}, 10, {}) == {"a": 5.0, "b": 5.0}
    assert lacking({"a": 1, "b": 1}, 10, {"a": 6, "b": 2, "other": 99}) == {"a": 3.0, "b": 7.0}
    assert lacking({"a": 3, "b": 1}, 4, {"b": 50}) == {"a": 40.5, "b": 0.0}


def test_exact_minhash_and_semantic_each_find_their_own(tmp_path):
    long = "please write a short poem about the sea and the wind in the old harbour of my home town"
    there = pl.DataFrame({"id": ["old/1", "old/2"], "text": [long, "How do I boil an egg?"], "category": [None, None]})
    table = chats("HOW do I  boil an egg?", f"{long} tonight", "How do I boil eggs?", "What is a prime number?")
    kept, gone = Append(cosine=0.9)(table, Published(there, tmp_path))
    assert kept["id"].to_list() == ["p3"]
    told = dict(zip(gone["id"], zip(gone["reason"], gone["detail"], strict=True), strict=True))
    assert told["p0"] == ("exact_duplicate_of_published", "repeats old/2, similarity 1.000")
    assert told["p1"][0] == "minhash_duplicate_of_published"
    assert told["p1"][1].startswith("repeats old/1, similarity 0.")
    assert told["p2"][0] == "semantic_duplicate_of_published"


def test_an_empty_publication_drops_nothing_that_differs(tmp_path):
    there = pl.DataFrame(schema={"id": pl.String, "text": pl.String, "category": pl.String})
    kept, gone = Append()(chats("What is a prime number?", "How do I boil an egg?"), Published(there, tmp_path))
    assert (kept.height, gone.height) == (2, 0)
    kept, gone = Append()(chats(), Published(there, tmp_path))
    assert (kept.height, gone.height) == (0, 0)


@pytest.mark.parametrize(
    ("append", "told"),
    [
        ({"to": "hub:nobody"}, r"append\.to.*hub:owner/name"),
        ({"to": " "}, r"append\.to"),
        ({"duplicates": []}, r"append\.duplicates"),
        ({"duplicates": ["fuzzy"]}, r"append\.duplicates.*fuzzy"),
        ({"cosine": 1.5}, r"append\.cosine"),
        ({"quotas": True}, r"append\.quotas.*tag and choose\.shares and choose\.rows"),
        ({"too": "x"}, r"append\.too: unknown key; did you mean 'to'"),
    ],
)
def test_bad_input_is_named_by_its_field(append, told):
    with pytest.raises(RecipeError, match=told):
        recipe(append=append)


def test_what_cannot_be_read_is_named_by_its_field(tmp_path):
    where = {"name": "n", "runs": tmp_path, "folder": tmp_path}
    with pytest.raises(AppendError, match=r"append\.to: .*no\.jsonl.*give a file that is there"):
        published(Append(to=str(tmp_path / "no.jsonl")), **where)
    with pytest.raises(AppendError, match=r"append\.to: .*no finished run"):
        published(Append(to=str(tmp_path)), **where)
    (tmp_path / "a.jsonl").write_text('{"x": 1}\n')
    with pytest.raises(AppendError, match=r"append\.column"):
        published(Append(to=str(tmp_path / "a.jsonl")), **where)
    assert not list(tmp_path.glob("published-*"))


def test_before_the_first_release_nothing_is_published_but_a_hub_that_is_down_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    where = {"append": Append(to="hub:me/pairs"), "name": "n", "runs": tmp_path}
    with serving() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        there = published(**where, folder=tmp_path / "first")
        assert (there.height, there.columns) == (0, ["id", "text", "category"])
        assert hub.log
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{free_port()}")  # where nobody listens
    with pytest.raises(AppendError, match=r"append\.to: hub:me/pairs cannot be read"):
        published(**where, folder=tmp_path / "second")


@pytest.mark.usefixtures("ray_here", "prefect_server")
def test_each_night_is_released_beside_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    base = recipe(rows=30)
    nights = [build(edition_of(base, name), tmp_path) for name in ("01", "01-0", "02")]
    with serving() as hub:
        options = {"licence": "mit", "api": HfApi(endpoint=hub.url, token="hf_x"), "patience": QUICK}
        tags = [release(run, "me/pairs", date=f"2026-11-2{i}", **options).tag for i, run in enumerate(nights)]
        there = hub.contents("me/pairs")
        again = release(nights[2], "me/pairs", date="2026-11-29", **options)
        assert set(hub.contents("me/pairs")) == set(there)
        assert not again.plan.add
        assert not again.plan.delete
    assert len(set(tags)) == 3
    shards = sorted(name for name in there if name.startswith("default/"))
    assert shards == sorted(f"default/train-night-{name}-00000-of-00001.parquet" for name in ("01", "01-0", "02"))
    for name, data in there.items():
        if name.endswith(".parquet"):
            (tmp_path / "hub" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "hub" / name).write_bytes(data)
    (tmp_path / "hub" / "README.md").write_bytes(there["README.md"])
    from datasets import load_dataset

    rows = load_dataset(str(tmp_path / "hub"), "candidates", split="train", cache_dir=str(tmp_path / "cache"))
    assert len(rows) == sum(len(prompts(run)) for run in nights) == len({row[-1]["content"] for row in rows["prompt"]})
