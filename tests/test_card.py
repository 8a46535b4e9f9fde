"""Laws of card and report: `datasets` loads by the card, every number is the run's, and no text of a row breaks out."""

import json
from html.parser import HTMLParser

import polars as pl
import pytest
import yaml

from rookery.flows import export
from rookery.flows.card import card, fenced, merged
from rookery.flows.cite import ENTRIES, PAPERS, bibtex
from rookery.flows.facts import NoRun, read
from rookery.flows.report import report
from rookery.flows.store import RunFolder
from rookery.schemas.exports import Pair
from rookery.schemas.manifest import RunManifest, StageManifest
from rookery.schemas.tables import Answer, Chat, Drop, Preference, Sampling, Score, Turn, columns, frame

DRAWN = Sampling(0.8, 1.0, 64, 7)
NASTY = "```\n</pre><script>alert(1)</script>\n---\nlicense: stolen\x00\u202e <|im_end|> 007"
RECIPE = {
    "name": "demo",
    "generate": {"method": "magpie", "rows": 9},
    "judge": {"method": "pointwise"},
    "pair": {"method": "best_worst"},
    "engines": {"main": {"engine": "vllm", "model": "models/chat"}},
}


def finished(path, texts=("plain", NASTY, "long " * 900), judge=()):
    """A run folder as the line leaves it."""
    chats = [Chat(f"p{i}", [], [Turn("user", text)], "magpie", "m", "r", DRAWN, "stop", 1, 1) for i, text in enumerate(texts)]
    answers = [
        Answer(f"p{i}{s}", f"p{i}", 0, f"{s} {text}", "independent", "m", "r", DRAWN, "stop", 1, 1)
        for i, text in enumerate(texts)
        for s in "ab"
    ]
    pairs = [Preference(f"q{i}", f"p{i}", f"p{i}a", f"p{i}b", 4.0 + i, 1.0, 3.0 + i, "best_worst") for i in range(len(texts))]
    scores = [Score(a.id, "pointwise", None if a.id == "p0b" else 2.0, None, "m", "why") for a in answers] + list(judge)
    tables = frame(Chat, chats), frame(Answer, answers)
    one_judge = frame(Score, [s for s in scores if s.name == "pointwise"])
    made = {
        "default": export.default(*tables, frame(Preference, pairs)),
        "unpaired": export.unpaired(*tables, one_judge, hi=4, lo=2),
        "sft": export.sft(*tables, one_judge),
        "candidates": export.candidates(*tables, frame(Score, scores)),
    }
    with RunFolder(path) as folder:
        folder.claim(RECIPE)
        stages = []
        for number, (name, kind, rows) in enumerate([("generate", Chat, chats), ("judge", Score, scores)]):
            drops = [Drop(f"d{number}", name, "empty", "nothing said", NASTY)]
            stage = folder.stage(number, name, "f" * 20)
            stage.commit(0, kind, [*rows, *drops], (Drop,))
            stage.finish(
                StageManifest(
                    stage=name, fingerprint="f" * 20, made_from={}, rows_in=len(rows) + 1, rows_out={kind.__name__: len(rows)},
                    dropped={"empty": 1}, tokens_in=1000, tokens_out=300, seconds=12.5, parts=stage.parts(),
                )
            )  # fmt: skip
            stages.append(stage.path.name)
        parts = {name: folder.publish(name, table, 2) for name, (table, _) in made.items()}
        told = {name: skipped for name, (_, skipped) in made.items()}
        folder.finish(
            RunManifest(name="demo", recipe="abc", versions={"rookery": "1"}, stages=stages, exports=parts, skipped=told)
        )
    return read(path)


def matter(text):
    return yaml.safe_load(text.split("---\n")[1])


def test_datasets_loads_every_configuration_by_the_card(tmp_path):
    datasets = pytest.importorskip("datasets")
    facts = finished(tmp_path / "run")
    folder = tmp_path / "run" / "dataset"
    (folder / "README.md").write_text(card(facts, licence="apache-2.0"))
    for config, parts in facts.run.exports.items():
        found = datasets.load_dataset(str(folder), config, split="train", cache_dir=str(tmp_path / "cache"))
        assert len(found) == sum(part.rows for part in parts), config
    first = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    assert first.column_names == list(columns(Pair))


def test_the_front_matter_is_whole_and_no_row_can_add_to_it(tmp_path):
    text = card(finished(tmp_path), licence="apache-2.0", language=("en", "fr"))
    told = matter(text)
    assert told["license"] == "apache-2.0"
    assert told["language"] == ["en", "fr"]
    assert told["size_categories"] == ["n<1K"]
    assert told["annotations_creators"] == ["machine-generated"]
    assert {"synthetic", "magpie", "best_worst"} <= set(told["tags"])
    assert [c["config_name"] for c in told["configs"]] == ["default", "unpaired", "sft", "candidates"]
    assert told["configs"][0]["default"] is True
    assert told["dataset_info"][0]["splits"] == [{"name": "train", "num_examples": 3}]
    without = card(finished(tmp_path / "b"), licence=None)
    assert "license" not in matter(without)
    assert "No licence was named" in without


def test_the_card_says_what_the_run_says(tmp_path):
    text = card(finished(tmp_path), licence="mit")
    assert "| generate | 4 | 3 chats | empty 1 |" in text
    assert "| **all** | 2000 | 600 | 25.0 |" in text
    assert "200 tokens written, 667 read, 8.33 s" in text
    for name, said in columns(Pair).items():
        assert f"| `{name}` | {said} |" in text
    assert "rookery build recipe.yaml" in text
    assert "arXiv:2406.08464" in text
    assert "both orders" not in text
    assert card(finished(tmp_path), licence="mit") == text  # the same run, the same card


def test_a_comparing_judge_is_reported_with_its_flips(tmp_path):
    verdicts = []
    for i, (a, b) in enumerate([(0.9, 0.8), (0.9, 0.3), (0.2, 0.1), (0.7, 0.6)]):
        flipped = "flipped" if (a - 0.5) * (b - 0.5) < 0 else "agreed"
        verdicts += [Score(f"m{i}", "pairwise", (a + b) / 2, flipped, "m", None)]
        verdicts += [Score(f"m{i}", "pairwise_as_a", a, None, "m", None), Score(f"m{i}", "pairwise_as_b", b, None, "m", None)]
    facts = finished(tmp_path, judge=verdicts)
    for text in (card(facts, licence="mit"), report(facts)):
        assert "75.0%" in text
        assert "25.0%" in text


@pytest.mark.parametrize("text", [NASTY, "````", "`a` ``b``", "~~~"])
def test_a_fence_cannot_be_closed_from_within(text):
    fence = fenced(text).split("text\n")[0]
    assert fenced(text).count(fence) >= 2
    assert fence not in text
    assert "\x00" not in fenced(text)
    assert "\u202e" not in fenced(text)


class Tags(HTMLParser):
    """Every tag opened and closed, and what was fetched from elsewhere."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.links = [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag


def test_the_report_is_one_sound_page_that_fetches_nothing(tmp_path):
    facts = finished(tmp_path)
    page = report(facts)
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert tags.links == []
    assert "script" not in tags.seen
    assert tags.seen.count("svg") == 6
    assert 'name="viewport"' in page
    assert "\x00" not in page
    assert len(page) < 200_000


def test_a_run_without_pairs_has_a_card_and_a_report(tmp_path):
    facts = finished(tmp_path, texts=())
    assert "There are no pairs." in card(facts, licence="mit")
    assert "There are no pairs." in report(facts)


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(NoRun, match="rookery build"):
        read(tmp_path)


def test_their_front_matter_is_kept_and_ours_wins():
    ours, theirs = (
        "---\nlicense: mit\ntags:\n- a\n---\n\n# Ours\n",
        "---\nlicense: x\nviewer: false\ntags:\n- b\n---\n# Theirs\n",
    )
    told = merged(ours, theirs)
    assert matter(told) == {"license": "mit", "tags": ["a", "b"], "viewer": False}
    assert told.endswith("---\n\n# Ours\n")
    assert merged(ours, "no front matter") == merged(ours, "")
    assert merged(told, theirs) == told


def test_every_paper_named_has_an_entry():
    text = ENTRIES.read_text(encoding="utf-8")
    for keys in PAPERS.values():
        for key in keys:
            assert f"{{{key}," in text
    assert bibtex(["magpie", "best_worst"]).count("@article") == 1
    assert bibtex(PAPERS).count("@article") == text.count("@article")


def test_facts_survive_a_round_trip(tmp_path):
    facts = finished(tmp_path)
    assert facts.pairs == 3
    assert facts.models == ["chat"]
    assert facts.methods == ["magpie", "pointwise", "best_worst"]
    assert json.dumps(facts.recipe)
    assert isinstance(facts.scores, pl.DataFrame)
    assert facts.scores.height == 6
    assert facts.drops.height == 2
