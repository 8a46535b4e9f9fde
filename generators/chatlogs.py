"""From a record of somebody's chat log to a conversation: WildChat, LMSYS-Chat, ShareGPT and OpenAI's messages.

Each layout says where the messages stand, how the roles are called and what else is known. A record that is no
alternation of user and assistant becomes a `Drop` that says why; nothing here raises for what a log holds. A conversation
may end with the user, whose last word is often the verdict. How the replies were drawn is unknown, so it is NaN.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ..schemas.digest import digest
from ..schemas.tables import Chat, Drop, Note, Sampling, Turn, text_of

Layout = Literal["wildchat", "lmsys", "sharegpt", "messages"]
Logged = Chat | Note | Drop  # what a record becomes
UNKNOWN = Sampling(float("nan"), float("nan"), 0, None)
_ROLES = {
    "user": "user", "human": "user",
    "assistant": "assistant", "gpt": "assistant", "chatgpt": "assistant", "bing": "assistant", "bard": "assistant",
    "model": "assistant", "ai": "assistant",
    "system": "system", "developer": "system",
}  # fmt: skip
_BLANKS = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class _Keys:
    """Where things stand in a record. Several names are tried in order."""

    messages: tuple[str, ...]
    role: str
    content: str
    name: tuple[str, ...]


_KEYS: dict[str, _Keys] = {
    "wildchat": _Keys(("conversation",), "role", "content", ("conversation_hash", "conversation_id")),
    "lmsys": _Keys(("conversation",), "role", "content", ("conversation_id",)),
    "sharegpt": _Keys(("conversations", "items"), "from", "value", ("id",)),
    "messages": _Keys(("messages",), "role", "content", ("id", "conversation_id")),
}


class Selection(BaseModel):
    """Which conversations of a log are worth reading for feedback."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    least_user_turns: int = Field(2, ge=1, description="with one there is nobody to react")
    language: str | None = Field("English", description="as the log names it; logs that name none are let through")
    toxic: bool = Field(False, description="keep what the log's own moderation has flagged")
    longest_turn: int = Field(100_000, gt=0, description="characters; a longer turn is a pasted file")
    per_opening: int = Field(1, ge=1, description="conversations kept that open with the same 200 characters")


def conversation(record: object, layout: Layout, place: str) -> list[Logged]:
    """The record as a `Chat` with its notes (user, language, flagged), or as one `Drop`. `place` says where it stood."""
    if not isinstance(record, Mapping):
        return [_drop(place, "not_a_record", f"expected an object, found {type(record).__name__}", record)]
    keys = _KEYS[layout]
    said = next((record[key] for key in keys.messages if record.get(key) is not None), None)
    if not isinstance(said, Sequence) or isinstance(said, str):
        known = ", ".join(map(str, list(record)[:12]))
        return [_drop(place, "no_messages", f"no list {' or '.join(keys.messages)}; the record has: {known}", record)]
    turns: list[Turn] = []
    for number, message in enumerate(said):
        turn = _turn(message, keys)
        if isinstance(turn, str):
            return [_drop(place, "bad_message", f"message {number}: {turn}", record)]
        turns.append(turn)
    fault = alternation_fault(turns)
    if fault:
        return [_drop(place, *fault, text_of(turns))]
    name = next((str(record[key]) for key in keys.name if record.get(key)), "")
    chat = digest("log", layout, name, text_of(turns))
    model = str(record.get("model") or turn_model(said) or "unknown")
    made = Chat(chat, [], turns, layout, model, "unknown", UNKNOWN, "stop", 0, 0)
    return [made, *_known(chat, record, said)]


def alternation_fault(turns: Sequence[Turn]) -> tuple[str, str] | None:
    """(reason, detail) if this is no alternation of user and assistant after at most one system turn."""
    spoken = turns[1:] if turns and turns[0].role == "system" else turns
    if not spoken:
        return "empty_conversation", "no turn of a user or an assistant"
    for number, turn in enumerate(spoken):
        expected = ("user", "assistant")[number % 2]
        if turn.role != expected:
            return "broken_alternation", f"turn {number} is the {turn.role}'s, expected the {expected}'s"
        if not turn.content.strip():
            return "empty_turn", f"turn {number}, the {turn.role}'s, says nothing"
    return None


class Openings:
    """Counts how conversations begin, in about 100 bytes for each distinct opening: logs hold one template thousands of times."""

    def __init__(self) -> None:
        self._seen: dict[int, int] = {}

    def count(self, turns: Sequence[Turn]) -> int:
        """How many conversations, this one counted, have opened so."""
        opening = next((turn.content for turn in turns if turn.role == "user"), "")
        key = int(digest(_BLANKS.sub(" ", opening[:400]).strip().lower()[:200], length=15), 16)
        self._seen[key] = self._seen.get(key, 0) + 1
        return self._seen[key]


def selected(rows: Sequence[Logged], selection: Selection, openings: Openings) -> Sequence[Logged]:
    """The rows of one record, or the `Drop` that says which demand of the selection it does not meet."""
    chat = rows[0]
    if not isinstance(chat, Chat):
        return rows
    known = {note.kind: note.text for note in rows[1:] if isinstance(note, Note)}
    fault = _selection_fault(chat, known, selection)
    if not fault and (count := openings.count(chat.turns)) > selection.per_opening:
        fault = ("same_opening", f"conversation {count} that opens with these words")
    return [Drop(chat.id, "read", *fault, _excerpt(text_of(chat.turns)))] if fault else rows


def _selection_fault(chat: Chat, known: Mapping[str, str], wanted: Selection) -> tuple[str, str] | None:
    longest = max(len(turn.content) for turn in chat.turns)
    users = sum(turn.role == "user" for turn in chat.turns)
    if longest > wanted.longest_turn:
        return "turn_too_long", f"{longest} characters, at most {wanted.longest_turn}"
    if users < wanted.least_user_turns:
        return "too_few_user_turns", f"{users}, at least {wanted.least_user_turns}"
    if wanted.language and known.get("language", wanted.language).lower() != wanted.language.lower():
        return "language", f"{known['language']}, wanted {wanted.language}"
    if not wanted.toxic and "flagged" in known:
        return "flagged", "the log's own moderation flagged it"
    return None


def _turn(message: object, keys: _Keys) -> Turn | str:
    if not isinstance(message, Mapping):
        return f"expected an object, found {type(message).__name__}"
    role = _ROLES.get(str(message.get(keys.role)).lower())
    if role is None:
        return f"unknown role {message.get(keys.role)!r}"
    content = message.get(keys.content)
    if isinstance(content, list):  # OpenAI's parts: only text can be read
        parts = [part.get("text") if isinstance(part, Mapping) else part for part in content]
        texts = [part for part in parts if isinstance(part, str)]
        content = "\n".join(texts) if len(texts) == len(parts) else None
    if not isinstance(content, str):
        return f"content is {type(content).__name__}, expected text"
    return Turn(role, content)


def turn_model(messages: Sequence[object]) -> str | None:
    """The model that a message names, as some ShareGPT files do."""
    return next((str(m["model"]) for m in messages if isinstance(m, Mapping) and m.get("model")), None)


def _known(chat: str, record: Mapping, messages: Sequence[object]) -> Iterator[Note]:
    """What else the log knows: who spoke (a hash, for splits that keep a user together), in what language, whether flagged."""
    user = record.get("hashed_ip") or next((m.get("hashed_ip") for m in messages if isinstance(m, Mapping)), None)
    if user:
        yield Note(chat, "user", 0, str(user))
    if record.get("language"):
        yield Note(chat, "language", 0, str(record["language"]))
    moderation = record.get("openai_moderation")
    verdicts = moderation if isinstance(moderation, list) else []
    if record.get("toxic") is True or any(isinstance(v, Mapping) and v.get("flagged") is True for v in verdicts):
        yield Note(chat, "flagged", 0, "by the log's own moderation")


def _drop(place: str, reason: str, detail: str, record: object) -> Drop:
    text = record if isinstance(record, str) else repr(record)[:1000]
    return Drop(digest("record", place), "read", reason, f"{place}: {detail}", _excerpt(text))


def _excerpt(text: str, longest: int = 1000) -> str:
    return text if len(text) <= longest else f"{text[:longest]} [...]"
