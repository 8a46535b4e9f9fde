"""Reading: every fault costs its own record and says where it stood; the rest of the stream arrives."""

import gzip
import json
import subprocess
import sys

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rookery.flows.readers import SourceError, batches, conversations, metadata, records, seeds
from rookery.generators.chatlogs import Openings, Selection, conversation
from rookery.schemas.tables import Chat, Drop, Note, Seed, Turn, text_of

ANY = Selection(least_user_turns=1, language=None, per_opening=1000)


def talk(*said, role="role", content="content", user="user", assistant="assistant"):
    return [{role: (user, assistant)[i % 2], content: text} for i, text in enumerate(said)]


def write(path, *lines):
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines))
    return str(path)


def chats(rows):
    return [row for row in rows if isinstance(row, Chat)]


def drops(rows):
    return [row for row in rows if isinstance(row, Drop)]


WILD = {
    "conversation_hash": "h1", "model": "gpt-4-0314", "language": "English", "toxic": False, "hashed_ip": "u1", "turn": 2,
    "conversation": [dict(message, language="English", redacted=False, hashed_ip="u1") for message in talk("Hi", "Yo", "Thanks")],
}  # fmt: skip
LMSYS = {"conversation_id": "i1", "model": "vicuna-13b", "conversation": talk("Hi", "Yo"), "turn": 1, "language": "English",
         "openai_moderation": [{"flagged": False}], "redacted": False}  # fmt: skip
SHAREGPT = {"id": "s1", "conversations": talk("Hi", "Yo", role="from", content="value", user="human", assistant="gpt")}
MESSAGES = {"messages": [{"role": "system", "content": "Be kind."}, *talk("Hi", "Yo")]}
PARTS = {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": "there"}]}]}


@pytest.mark.parametrize(
    ("layout", "record", "said"),
    [
        ("wildchat", WILD, "user: Hi\nassistant: Yo\nuser: Thanks"),
        ("lmsys", LMSYS, "user: Hi\nassistant: Yo"),
        ("sharegpt", SHAREGPT, "user: Hi\nassistant: Yo"),
        ("messages", MESSAGES, "system: Be kind.\nuser: Hi\nassistant: Yo"),
        ("messages", PARTS, "user: Hi\nthere"),
    ],
)
def test_each_layout_gives_the_conversation(layout, record, said):
    chat, *notes = conversation(record, layout, "here")
    assert text_of(chat.turns) == said
    assert chat.model == record.get("model", "unknown")
    assert {note.kind for note in notes} <= {"user", "language"}


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ([], "not_a_record"),
        ({"text": "no messages"}, "no_messages"),
        ({"messages": "a string"}, "no_messages"),
        ({"messages": []}, "empty_conversation"),
        ({"messages": [{"role": "system", "content": "alone"}]}, "empty_conversation"),
        ({"messages": [{"role": "assistant", "content": "first"}]}, "broken_alternation"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}, "broken_alternation"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": " "}]}, "empty_turn"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "bad_message"),
        ({"messages": [{"role": "user", "content": None}]}, "bad_message"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "bad_message"),
        ({"messages": ["user: hi"]}, "bad_message"),
    ],
)
def test_what_is_no_conversation_is_dropped_by_name(record, reason):
    [drop] = conversation(record, "messages", "file:3")
    assert drop.reason == reason


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "messages", "from", "id"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(plain, st.sampled_from(["wildchat", "lmsys", "sharegpt", "messages"]))
def test_no_record_breaks_a_reader(record, layout):
    rows = conversation(record, layout, "here")
    assert isinstance(rows[0], Chat | Drop)


def test_every_kind_of_broken_input_costs_its_own_line(tmp_path):
    good = {"messages": talk("Hi there", "Yo", "No, longer")}
    source = write(
        tmp_path / "log.jsonl",
        good,
        b'{"messages": [{"role": "us',  # cut in half
        {"messages": talk("Hi", "Yo") + talk("Hi")[:1] + talk("Hi")[:1]},  # broken alternation
        {"messages": []},
        {"messages": talk("x" * 2_000_000, "Long!", "Yes")},
        '{"messages": "grüße"}'.encode("latin-1"),
        b"",
        {"messages": talk("Another thing", "Yes", "Good")},
    )
    rows = list(conversations(source, "messages", Selection()))
    assert [chat.turns[0].content for chat in chats(rows)] == ["Hi there", "Another thing"]
    assert [drop.reason for drop in drops(rows)] == [
        "not_json", "broken_alternation", "empty_conversation", "turn_too_long", "not_utf8",
    ]  # fmt: skip
    assert "log.jsonl:2" in drops(rows)[0].detail
    assert all(len(drop.text) < 2000 for drop in drops(rows))


def test_the_selection_says_what_it_leaves_out():
    opened = Openings()
    assert [opened.count([Turn("user", text)]) for text in ("Act as a chef", "act  as a CHEF ", "Hello")] == [1, 2, 1]


def test_selection_of_language_length_flags_and_openings(tmp_path):
    def row(text, **more):
        return {**WILD, "conversation": talk(text, "Yo", "Ok"), **more}

    lines = [
        row("one"),
        row("two", language="German"),
        row("three", toxic=True),
        {**WILD, "conversation": talk("four", "x")},
        row("One "),
    ]
    rows = list(conversations(write(tmp_path / "w.jsonl", *lines), "wildchat", Selection()))
    assert len(chats(rows)) == 1
    assert [drop.reason for drop in drops(rows)] == ["language", "flagged", "too_few_user_turns", "same_opening"]


def test_personal_data_is_gone_and_counted(tmp_path):
    source = write(tmp_path / "w.jsonl", {"messages": talk("Mail a@b.org", "Yo", "Ok")})
    chat, note = conversations(source, "messages", ANY)
    assert chat.turns[0].content == "Mail <EMAIL_ADDRESS>"
    assert isinstance(note, Note)
    assert note.text == "EMAIL_ADDRESS: 1"
    [chat] = conversations(source, "messages", ANY, scrub=False)
    assert "a@b.org" in chat.turns[0].content


@pytest.mark.parametrize("form", ["jsonl", "jsonl.gz", "json", "parquet", "hub"])
def test_every_container_gives_the_same_seeds(tmp_path, form):
    values = [{"instruction": f"Do {i}"} for i in range(600)]
    path = tmp_path / f"seeds.{form}"
    if form == "json":
        path.write_text(json.dumps(values))
    elif form == "parquet":
        pl.DataFrame(values).write_parquet(path)
    elif form == "hub":  # a folder is to `datasets` what a repository on the Hub is
        (tmp_path / "repo").mkdir()
        pl.DataFrame(values).write_parquet(tmp_path / "repo" / "train.parquet")
    else:
        (gzip.open if form.endswith("gz") else open)(path, "wb").write("\n".join(map(json.dumps, values)).encode())
    source = f"hub:{tmp_path / 'repo'}" if form == "hub" else str(path)
    found = list(seeds(source, "instruction", 0))
    assert [seed.turns[0].content for seed in found] == [value["instruction"] for value in values]
    assert len({seed.id for seed in found}) == 600


def test_a_seed_without_the_column_costs_that_seed(tmp_path):
    lines = [
        {"instruction": "Do it"},
        {"text": "Do that"},
        {"instruction": ""},
        {"instruction": None},
        ["x"],
        {"instruction": "Do more"},
    ]
    found = list(seeds(write(tmp_path / "s.jsonl", *lines), "instruction", 0))
    assert [row.reason for row in drops(found)] == ["no_column", "empty_seed", "empty_seed", "no_column"]
    assert "it has: text" in drops(found)[0].detail or "has: text" in drops(found)[0].detail
    assert len([row for row in found if isinstance(row, Seed)]) == 2
    pl.DataFrame({"text": ["a", "b"]}).write_parquet(tmp_path / "s.parquet")
    assert {row.reason for row in seeds(str(tmp_path / "s.parquet"), "instruction", 0)} == {"no_column"}


def test_the_rest_of_a_broken_array_is_named(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('[{"instruction": "a"}, {"instruction": "b"}, {"instr')
    found = list(seeds(str(path), "instruction", 0))
    assert [type(row).__name__ for row in found] == ["Seed", "Seed", "Drop"]
    assert "JSON Lines" in found[-1].detail


def test_hand_written_metadata(tmp_path):
    path = tmp_path / "m.yaml"
    path.write_text("- use_case: Business Plans\n  skills: [market research, planning, a, b]\n- use_case: x\n- nonsense\n")
    entry, *rest = metadata(str(path))
    assert (entry.use_case, entry.skills, entry.origin) == ("business plans", ("market research", "planning", "a"), "manual")
    assert [row.reason for row in rest] == ["no_metadata", "no_metadata"]
    (tmp_path / "m.csv").write_text('use_case,skills\ntravel,"maps, trains"\n')
    assert next(metadata(str(tmp_path / "m.csv"))).skills == ("maps", "trains")


@pytest.mark.parametrize("source", ["/nowhere/x.jsonl", "/nowhere/x.parquet", "notes.txt", "hub:/nowhere/at-all"])
def test_a_source_that_is_not_there_is_said_with_a_remedy(source):
    with pytest.raises(SourceError, match="give"):
        list(records(source))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(lines=st.lists(st.binary(max_size=40).filter(lambda raw: b"\n" not in raw and raw.strip()), max_size=8))
def test_a_line_of_any_bytes_is_one_row(tmp_path, lines):
    path = tmp_path / "any.jsonl"
    path.write_bytes(b"\n".join(lines))
    assert len(list(records(str(path)))) == len(lines)


@given(st.lists(st.integers(), max_size=30), st.integers(1, 7))
def test_batches_lose_nothing(items, size):
    cut = list(batches(items, size))
    assert [item for batch in cut for item in batch] == items
    assert all(len(batch) == size for batch in cut[:-1])


# In a process of its own: the tests' Ray and Prefect threads allocate beside it.
PEAK = """
import sys, tracemalloc
from rookery.flows.readers import conversations
from rookery.generators.chatlogs import Selection

tracemalloc.start()
for _ in conversations(sys.argv[1], "messages", Selection(least_user_turns=1, language=None, per_opening=1000), scrub=False):
    pass
print(tracemalloc.get_traced_memory()[1])
"""


def test_a_long_log_is_read_in_the_memory_of_a_short_one(tmp_path):
    def peak(count):
        path = tmp_path / f"{count}.jsonl"
        with path.open("w") as file:
            for i in range(count):
                file.write(json.dumps({"messages": talk(f"Question {i % 50} " + "x" * 2000, "Yes", "Thanks")}) + "\n")
        return int(subprocess.run([sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True).stdout)

    assert peak(4000) < 1.5 * peak(400) + 200_000
