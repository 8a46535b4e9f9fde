"""The sample chat logs: the layout of WildChat-1M, labels apart, and reproducible to the byte."""

import json

from rookery.data.world import logs
from rookery.data.world.freshness import DEMO


def rows(name):
    return [json.loads(line) for line in (DEMO / "logs" / name).read_text().splitlines()]


def test_logs_have_the_layout_of_wildchat():
    found = rows("wildchat.jsonl")
    assert len(found) >= 300
    for row in found:
        roles = [message["role"] for message in row["conversation"]]
        assert roles == ["user", "assistant"] * row["turn"]
        assert row["turn"] >= 2
        assert {"conversation_hash", "model", "timestamp", "language", "hashed_ip", "toxic", "redacted"} <= row.keys()
        assert {"content", "language", "toxic", "redacted", "turn_identifier"} <= row["conversation"][0].keys()


def test_labels_stand_apart_and_fit_the_logs():
    for row, label in zip(rows("wildchat.jsonl"), rows("labels.jsonl"), strict=True):
        assert row["conversation_hash"] == label["conversation_hash"]
        assert len(label["turns"]) == len(label["reply_right"]) == row["turn"]
        assert "sat" not in json.dumps(row["conversation"])


def test_the_files_are_what_the_code_writes(tmp_path):
    logs.write_logs(tmp_path)
    logs.write_seeds(tmp_path / "seeds.jsonl")
    for name in ("wildchat.jsonl", "labels.jsonl"):
        assert (tmp_path / name).read_text() == (DEMO / "logs" / name).read_text()
    assert (tmp_path / "seeds.jsonl").read_text() == (DEMO / "seeds.jsonl").read_text()
