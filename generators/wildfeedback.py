"""WildFeedback: where a user complained of a reply, a better one is written to the wishes that the complaint shows.

Shi et al., arXiv:2408.15549, section 3, built here from second-hand accounts (the paper's own text was not to be had).
`complaints` cuts a labelled conversation: the prompt is the history up to the request whose reply displeased, without that
reply. `Expert` lets a stronger model answer with the user's wishes in the system turn, against the reply that displeased;
`OnPolicy` lets the model to be trained write both sides, with the wishes and without. The wishes are never part of the
prompt that is kept: the pair has to teach the model to do it unasked.

Where the sources are silent: one pair for each complaint and at most three for a conversation; complaints that follow one
another about the same request are one, whose prompt is the first and whose wishes come from all; what the user liked on the
way counts as a wish; a new requirement, which the reply could not have known, makes no pair; a prompt that is too long loses its
oldest turns. A *complaint* travels as a `Seed` with roles of its own: the prompt, then what came
after: `reply`, `complaint`, and by turns `answer` and `complaint` or `liked`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal

from pydantic import Field

from ..schemas.digest import digest, seed_of
from ..schemas.feedback import Signal, numbered
from ..schemas.llm import LLM, Decoding, Reply
from ..schemas.prompts import fill, prompt
from ..schemas.step import Step
from ..schemas.tables import Answer, Chat, Drop, Note, Row, Sampling, Score, Seed, Turn, text_of
from .chatlogs import UNKNOWN

SPOKEN = ("system", "user", "assistant")
SPEAKER = {"reply": "assistant", "answer": "assistant", "complaint": "user", "liked": "user"}
MOST_WISHES = 5
_WISH = re.compile(r"(?m)^\s*(?:[-*•]|\d+[.)])\s*(.+?)\s*$")


def complaints(chat: Chat, signals: Sequence[Signal], *, most: int, longest: int) -> tuple[list[Seed], list[Drop]]:
    """The complaints of one conversation, at most `most`, each prompt at most `longest` characters; and what made none."""
    found: list[Seed] = []
    dropped: list[Drop] = []
    for chain in _chains(chat, signals):
        first = chain[0]
        name = digest("complaint", chat.id, first.turn)
        text = chat.turns[first.turn].content
        if all(signal.new_requirement for signal in chain):
            why = f"{first.state}, Revision alone: the reply could not have known"
            dropped.append(Drop(name, "complaints", "new_requirement", why, text))
        elif len(found) == most:
            dropped.append(Drop(name, "complaints", "enough_of_this_chat", f"{most} pairs are made of it already", text))
        else:
            found.append(_complaint(name, chat, chain, signals, longest))
    return found, dropped


def approved(chat: Chat, signals: Sequence[Signal]) -> list[Row]:
    """Replies that the user liked and did not complain of, as prompt, answer and a score of 1: lessons, or thumbs up."""
    made: list[Row] = []
    for signal in signals:
        if signal.sat and not signal.dsat and signal.turn >= 2:
            place = signal.turn - 1
            name = digest("approved", chat.id, place)
            logged = (chat.model, chat.revision, UNKNOWN, "stop", 0, 0)
            made.append(Chat(name, [chat.id], list(chat.turns[:place]), "wildfeedback", *logged))
            made.append(Answer(digest(name, "reply"), name, 0, chat.turns[place].content, "logged", *logged))
            made.append(Score(digest(name, "reply"), "approved", 1.0, "; ".join(signal.sat), "user", signal.reason_sat))
    return made


class _Pair(Step):
    """What both versions share: the wishes are summed up, the sides are written, and rows are made of them."""

    method: str  # each version's own
    judge: str = Field("judge", description="which engine sums up what the user wants")
    temperature: float = Field(0.7, ge=0, le=2, description="of the written sides; the same for both")
    top_p: float = Field(0.95, gt=0, le=1)
    max_tokens: int = Field(2048, gt=0)

    consumes: ClassVar = Seed
    produces: ClassVar = (Chat, Answer, Score, Note, Drop)
    prompts: ClassVar = ("wildfeedback/preferences", "wildfeedback/guided_system")

    async def _wishes(self, row: Seed, judge: LLM) -> list[str] | Drop:
        """At most five wishes, from everything the user said in return."""
        said = numbered([Turn(SPEAKER.get(turn.role, turn.role), turn.content) for turn in row.turns])
        question = [Turn("user", fill(prompt("wildfeedback/preferences"), conversation=said))]
        text = ""
        for attempt, temperature in enumerate((0.0, 0.7)):  # at 0 a second try would repeat the first
            decoding = Decoding(temperature=temperature, max_tokens=512)
            reply = await judge.chat(question, decoding, seed_of(row.seed, "wishes", attempt))
            text = reply.error or reply.text
            if wishes := list(dict.fromkeys(_WISH.findall(reply.text)))[:MOST_WISHES]:
                return wishes
        return Drop(row.id, "pair", "no_wishes", text, text_of(row.turns))

    async def _guided(self, row: Seed, wishes: Sequence[str], writer: LLM) -> Reply:
        """An answer to the prompt by a model that was told the wishes in the system turn."""
        guide = fill(prompt("wildfeedback/guided_system"), preferences="\n".join(f"- {wish}" for wish in wishes))
        asked = asked_of(row)
        if asked[0].role == "system":
            guide, asked = f"{asked[0].content}\n\n{guide}", asked[1:]
        return await writer.chat([Turn("system", guide), *asked], self._drawn(), seed_of(row.seed, "guided"))

    def _drawn(self) -> Decoding:
        return Decoding(temperature=self.temperature, top_p=self.top_p, max_tokens=self.max_tokens)

    def _rows(self, name: str, row: Seed, wishes: Sequence[str], chosen: Answer, rejected: Answer, why: str) -> list[Row]:
        """The prompt without the wishes, the two answers, scores of 1 and 0, and the wishes as notes."""
        asked = Chat(name, [row.id], asked_of(row), self.method, "user", "unknown", UNKNOWN, "stop", 0, 0)
        scores = [Score(chosen.id, self.method, 1.0, "guided", "user", None)]
        scores += [Score(rejected.id, self.method, 0.0, why, "user", None)]
        return [asked, chosen, rejected, *scores, *(Note(name, "preference", i, wish) for i, wish in enumerate(wishes))]


class Expert(_Pair):
    """Chosen: a stronger model told of the wishes. Rejected: the reply that the user complained of."""

    method: Literal["wildfeedback_expert"] = "wildfeedback_expert"
    expert: str = Field("expert", description="which engine writes the chosen side")

    engines: ClassVar = ("judge", "expert")

    async def __call__(self, row: Seed, judge: LLM, expert: LLM) -> Sequence[Row]:
        """Sum up the wishes, answer to them, and set that against what was there."""
        wishes = await self._wishes(row, judge)
        if isinstance(wishes, Drop):
            return [wishes]
        reply = await self._guided(row, wishes, expert)
        name = self.id_of(judge, expert.model, expert.revision, row.id)
        if fault := _fault(reply):
            return [Drop(name, "pair", *fault, reply.text)]
        chosen = _answer(name, 0, reply, "guided", expert, self._drawn().recorded(seed_of(row.seed, "guided")))
        text = next(turn.content for turn in row.turns if turn.role == "reply")
        rejected = Answer(digest(name, "logged"), name, 1, text, "logged", "logged", "unknown", UNKNOWN, "stop", 0, 0)
        return self._rows(name, row, wishes, chosen, rejected, "complained_of")


class OnPolicy(_Pair):
    """Chosen: the model to be trained, told of the wishes. Rejected: the same model, not told. Needs the checklist judge."""

    method: Literal["wildfeedback_on_policy"] = "wildfeedback_on_policy"
    policy: str = Field("policy", description="which engine, the model to be trained, writes both sides")

    engines: ClassVar = ("judge", "policy")

    async def __call__(self, row: Seed, judge: LLM, policy: LLM) -> Sequence[Row]:
        """Sum up the wishes, and answer with them and without."""
        wishes = await self._wishes(row, judge)
        if isinstance(wishes, Drop):
            return [wishes]
        guided, plain = await asyncio.gather(
            self._guided(row, wishes, policy), policy.chat(asked_of(row), self._drawn(), seed_of(row.seed, "plain"))
        )
        name = self.id_of(judge, policy.model, policy.revision, row.id)
        if fault := _fault(guided) or _fault(plain):
            return [Drop(name, "pair", *fault, guided.text or plain.text)]
        if guided.text.strip() == plain.text.strip():
            return [Drop(name, "pair", "same_text", "the wishes changed nothing", plain.text)]
        chosen = _answer(name, 0, guided, "guided", policy, self._drawn().recorded(seed_of(row.seed, "guided")))
        rejected = _answer(name, 1, plain, "plain", policy, self._drawn().recorded(seed_of(row.seed, "plain")))
        return self._rows(name, row, wishes, chosen, rejected, "plain")


def asked_of(row: Seed) -> list[Turn]:
    """The complaint's prompt: the history up to the request."""
    return [turn for turn in row.turns if turn.role in SPOKEN]


def _chains(chat: Chat, signals: Sequence[Signal]) -> Iterator[list[Signal]]:
    """Complaints about the same request: each is the request of the next, unless it brings up something new."""
    chain: list[Signal] = []
    for signal in signals:
        if not signal.dsat or signal.turn < 2 or chat.turns[signal.turn - 1].role != "assistant":
            continue
        if chain and (signal.turn != chain[-1].turn + 2 or chain[-1].state == "NEW_TOPIC"):
            yield chain
            chain = []
        chain.append(signal)
    if chain:
        yield chain


def _complaint(name: str, chat: Chat, chain: Sequence[Signal], signals: Sequence[Signal], longest: int) -> Seed:
    first, last = chain[0].turn, chain[-1].turn
    pleased = any(signal.turn == last + 2 and signal.sat and not signal.dsat for signal in signals)
    after = chat.turns[first - 1 : last + 3 if pleased else last + 1]
    roles = ["reply", *("complaint" if place % 2 else "answer" for place in range(1, len(after)))]
    if pleased:
        roles[-1] = "liked"
    turns = [*shortened(chat.turns[: first - 1], longest), *map(Turn, roles, (turn.content for turn in after))]
    return Seed(name, first, seed_of(name), turns)


def shortened(turns: Sequence[Turn], longest: int) -> list[Turn]:
    """The turns, without the oldest exchanges if they are longer than `longest` characters. The last request stays whatever."""
    system = [turn for turn in turns[:1] if turn.role == "system"]
    spoken = list(turns[len(system) :])
    while len(spoken) > 1 and sum(len(turn.content) for turn in (*system, *spoken)) > longest:
        spoken = spoken[2:]  # user and assistant go together, so that the user still opens
    return [*system, *spoken]


def _fault(reply: Reply) -> tuple[str, str] | None:
    if reply.finish == "error":
        return "engine_error", reply.error
    if reply.finish == "length":
        return "cut_off", f"not finished after {reply.tokens_out} tokens"
    return None if reply.text.strip() else ("empty", "the model closed its turn at once")


def _answer(prompt_id: str, ordinal: int, reply: Reply, method: str, llm: LLM, drawn: Sampling) -> Answer:
    spent = (reply.finish, reply.tokens_in, reply.tokens_out)
    name = digest(prompt_id, method)
    return Answer(name, prompt_id, ordinal, reply.text.strip(), method, llm.model, llm.revision, drawn, *spent)
