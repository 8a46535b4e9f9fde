"""The layout of the published data set `microsoft/WildFeedback`, read and written, misspelt columns and all.

The annotation file is one JSON array with one object for each *utterance* and no conversation id: UtteranceId 0 begins a new
conversation. A label on a user's utterance judges the assistant's reply before it. The columns are spelt here as they are
there (`Preceeding`, `Disatisfaction`, `Satisfaction-Justificiation`), and nowhere else. The layout is known from the card
and from readers of the file, for the file itself was not to be had; the right spellings are read as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ..schemas.digest import digest
from ..schemas.feedback import DSAT, SAT, STATES, Signal, scores_of
from ..schemas.tables import Answer, Chat, Drop, Row, Turn, text_of
from .chatlogs import UNKNOWN, alternation_fault

SPELLINGS = {  # theirs -> ours; the right English is accepted too
    "Preceeding": "preceding", "Preceding": "preceding",
    "State": "state",
    "Satisfaction": "sat",
    "Satisfaction-Justificiation": "reason_sat", "Satisfaction-Justification": "reason_sat",
    "Disatisfaction": "dsat", "Dissatisfaction": "dsat",
    "Dissatisfaction-Justificiation": "reason_dsat", "Disatisfaction-Justificiation": "reason_dsat",
    "Dissatisfaction-Justification": "reason_dsat",
    "UtteranceId": "number", "TurnId": "turn", "Role": "role", "Content": "content",
}  # fmt: skip
_ROLE = {"user": "user", "agent": "assistant"}
_SIDE = {"human": "user", "gpt": "assistant", "system": "system"}


def annotated(records: Iterable[object]) -> Iterator[list[Row]]:
    """Conversations with their signals: a `Chat` and its scores, or a `Drop`, one conversation in memory at a time.

    A record that is no object costs the conversation that it stands in.
    """
    open_rows: list[dict[str, object]] = []
    count = 0
    for record in records:
        said = record if isinstance(record, Mapping) else {}
        row = {SPELLINGS[key]: value for key, value in said.items() if key in SPELLINGS}
        if row.get("number") == 0 and open_rows:
            yield _conversation(open_rows, count)
            open_rows, count = [], count + 1
        open_rows.append(row)
    if open_rows:
        yield _conversation(open_rows, count)


def utterances(chat: Chat, signals: Sequence[Signal]) -> list[dict[str, object]]:
    """A labelled conversation as the published file writes it. A system turn has no place there."""
    by_turn = {signal.turn: signal for signal in signals}
    offset = 1 if chat.turns[0].role == "system" else 0
    rows: list[dict[str, object]] = []
    for number, turn in enumerate(chat.turns[offset:]):
        signal = by_turn.get(number + offset, Signal(number + offset, ""))
        rows.append(
            {
                "UtteranceId": number,
                "TurnId": number // 2 + 1,
                "Role": "User" if turn.role == "user" else "Agent",
                "Content": turn.content,
                "Preceeding": "YES" if number else "NO",
                "State": signal.state,
                "Satisfaction": ", ".join(signal.sat),
                "Satisfaction-Justificiation": signal.reason_sat,
                "Disatisfaction": ", ".join(signal.dsat),
                "Dissatisfaction-Justificiation": signal.reason_dsat,
            }
        )
    return rows


def pair_record(prompt: Sequence[Turn], chosen: str, rejected: str) -> dict[str, object]:
    """A pair as `wildfeedback.json` writes it."""
    said = [{"from": "human" if turn.role == "user" else "gpt", "value": turn.content} for turn in prompt]
    sides = {"chosen": chosen, "rejected": rejected}
    return {"conversations": said, **{side: {"from": "gpt", "value": text} for side, text in sides.items()}}


def pair_rows(record: Mapping[str, object], place: str) -> list[Row]:
    """A published pair as a prompt and its two answers, or a `Drop`."""
    try:
        turns = [Turn(_SIDE[message["from"]], message["value"]) for message in record["conversations"]]  # type: ignore[attr-defined]
        sides = [record[side]["value"] for side in ("chosen", "rejected")]  # type: ignore[index]
    except (KeyError, TypeError) as error:
        return [Drop(digest("record", place), "read", "bad_pair", f"{place}: {error!r}", repr(record)[:1000])]
    fault = alternation_fault(turns) or (None if turns[-1].role == "user" else ("no_request", "the prompt ends in a reply"))
    name = digest("wildfeedback", text_of(turns))
    if fault:
        return [Drop(name, "read", *fault, text_of(turns)[:1000])]
    known = ("wildfeedback", "unknown", "unknown", UNKNOWN, "stop", 0, 0)
    answers = [Answer(digest(name, i, text), name, i, text, *known) for i, text in enumerate(sides)]
    return [Chat(name, [], turns, *known), *answers]


def _conversation(rows: Sequence[Mapping[str, object]], count: int) -> list[Row]:
    turns = [Turn(_ROLE.get(str(row.get("role")).lower(), "?"), str(row.get("content") or "")) for row in rows]
    chat = digest("wildfeedback", count, text_of(turns))
    numbers = [row.get("number") for row in rows]
    fault = alternation_fault(turns)
    if numbers != list(range(len(rows))):
        fault = ("broken_alternation", f"the utterances are numbered {numbers[:20]}, expected 0, 1, 2...")
    if fault:
        return [Drop(chat, "read", *fault, text_of(turns)[:1000])]
    signals = [_signal(place, row) for place, row in enumerate(rows) if turns[place].role == "user"]
    made = Chat(chat, [], turns, "wildfeedback", "unknown", "unknown", UNKNOWN, "stop", 0, 0)
    return [made, *scores_of(chat, signals, "microsoft/WildFeedback")]


def _signal(place: int, row: Mapping[str, object]) -> Signal:
    state = str(row.get("state") or "").strip().upper()
    sat, dsat = _criteria(row.get("sat"), SAT), _criteria(row.get("dsat"), DSAT)
    reasons = (str(row.get("reason_sat") or ""), str(row.get("reason_dsat") or ""))
    return Signal(place, state if state in STATES else "OTHER", sat, dsat, *reasons)


def _criteria(said: object, known: Mapping[str, str]) -> tuple[str, ...]:
    listed = said if isinstance(said, list) else re.split(r"[,;]", str(said or ""))
    names = {name.lower(): name for name in known}
    return tuple(dict.fromkeys(names[key] for key in (str(each).strip().lower() for each in listed) if key in names))
