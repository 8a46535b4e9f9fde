"""Deita's scorers: how complex a query is and how good its answer, as the expectation over six digits.

Liu et al., "What Makes Good Data for Alignment?", arXiv:2312.15685, sections 2.2 and 2.3. Prompts byte for byte (their
trailing blank makes the bare digit the next token). score = Σ k p_k over the digits 1 to 6, renormalised over them.

- Each turn is scored alone, as in the authors' code. A system turn is skipped, and an answer without a question is not
  scored (theirs: every pair after it is shifted by one).
- What cannot be scored is null with a reason, and so is the row's total (theirs under vLLM: 3.0, in silence, as soon as
  one digit is missing from the reported probabilities).
- The prompt goes out bare, as the scorers were trained: no chat template, the tokenizer's usual beginning-of-text token, and the
  digit's token as it goes on from the trailing blank. `bare: false` puts it into the chat template, for any model that chats.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from ..schemas.llm import LLM
from ..schemas.prompts import fill, prompt
from ..schemas.step import Step
from ..schemas.tables import Chat, Row, Score, Turn

DIGITS = ("1", "2", "3", "4", "5", "6")


class Deita(Step):
    """`complexity.t` and `quality.t` for each turn t, and `deita`: complexity times quality, reduced over the turns."""

    method: Literal["deita"] = "deita"
    complexity_engine: str = Field("complexity", description="which engine scores the query")
    quality_engine: str = Field("quality", description="which engine scores the answer")
    bare: bool = Field(
        True, description="send the prompt as it stands; false: in the model's chat template, for a judge that chats"
    )
    reduction: Literal["sum", "mean", "max", "first"] = Field("sum", description="over turns; the paper sums")
    most_chars: int = Field(6000, gt=0, description="of an answer: a longer one loses its beginning, and the score says so")
    least_mass: float = Field(0.05, ge=0, le=1, description="probability that the digits must hold together, else no score")

    consumes: ClassVar = Chat
    produces: ClassVar = (Score,)
    engines: ClassVar = ("complexity_engine", "quality_engine")
    prompts: ClassVar = ("deita/complexity", "deita/quality")

    async def __call__(self, row: Chat, complexity: LLM, quality: LLM) -> Sequence[Row]:
        """Score each question and its answer; then the conversation."""
        scores, products = [], []
        for number, (question, answer) in enumerate(exchanges(row.turns)):
            cut = answer[-self.most_chars :]
            asked = fill(prompt("deita/complexity"), instruction=question)
            answered = fill(prompt("deita/quality"), instruction=question, output=cut)
            c = await self._score(row.id, f"complexity.{number}", asked, complexity, None)
            q = await self._score(
                row.id, f"quality.{number}", answered, quality, f"the last {len(cut)} characters" if cut != answer else None
            )
            scores += [c, q]
            products.append(None if c.value is None or q.value is None else c.value * q.value)
        return [*scores, self._total(row.id, products, f"{complexity.model}, {quality.model}")]

    async def _score(self, about: str, name: str, question: str, llm: LLM, said: str | None) -> Score:
        choice = await llm.choose(question if self.bare else [Turn("user", question)], DIGITS)
        if choice.finish == "error":
            return Score(about, name, None, None, llm.model, choice.error)
        if choice.mass < self.least_mass:
            return Score(about, name, None, None, llm.model, f"only {choice.mass:.3f} of the probability is on digits")
        return Score(about, name, expectation(choice.probabilities), None, llm.model, said)

    def _total(self, about: str, products: list[float | None], judge: str) -> Score:
        known = [product for product in products if product is not None]
        if not products or len(known) < len(products):
            reason = f"{len(products) - len(known)} of {len(products)} turns have no score" if products else "no exchange"
            return Score(about, self.method, None, None, judge, reason)
        reduce = {"sum": sum(known), "mean": sum(known) / len(known), "max": max(known), "first": known[0]}
        return Score(about, self.method, reduce[self.reduction], None, judge, None)


def expectation(probabilities: dict[str, float]) -> float:
    """Σ k p_k over the digits, renormalised; six equal ones give 3.5.

    Raises:
        ValueError: if a digit is missing: an expectation over five is another number.
    """
    missing = [digit for digit in DIGITS if digit not in probabilities]
    if missing:
        raise ValueError(f"no probability for the digits {', '.join(missing)}: the engine must report all six")
    total = sum(probabilities[digit] for digit in DIGITS)
    return sum(int(digit) * probabilities[digit] for digit in DIGITS) / total


def exchanges(turns: Sequence[Turn]) -> list[tuple[str, str]]:
    """(question, answer) of each user turn; the answer is empty if there is none."""
    spoken = [turn for turn in turns if turn.role != "system"]
    found = []
    for place, turn in enumerate(spoken):
        if turn.role == "user":
            after = spoken[place + 1] if place + 1 < len(spoken) else None
            found.append((turn.content, after.content if after is not None and after.role == "assistant" else ""))
    return found
