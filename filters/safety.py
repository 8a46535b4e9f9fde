"""Guards: whether an exchange is safe. A guard model with its own template, or any model with a prompt.

Magpie (Xu et al., arXiv:2406.08464, section 3.2) tags with Llama-Guard-2 and keeps its raw text; so does `Guard`, with any model that
answers a conversation with "safe", or "unsafe" and the categories on the next line (Llama-Guard 1 to 4, ShieldGemma-like
fine-tunes). `GuardPrompt` reads the probability of the two words from a model that is no guard.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from ..schemas.llm import LLM, Decoding
from ..schemas.prompts import fill, prompt
from ..schemas.step import Step
from ..schemas.tables import Chat, Note, Row, Score, Turn, text_of

GREEDY = Decoding(temperature=0.0, max_tokens=32)


class Guard(Step):
    """A guard model's verdict, in its own template. Reads conversations that end in an answer, under the answer's id."""

    method: Literal["guard"] = "guard"
    engine: str = Field("guard", description="which engine guards; its chat template asks the question")

    consumes: ClassVar = Chat
    produces: ClassVar = (Score, Note)

    async def __call__(self, row: Chat, llm: LLM) -> Sequence[Row]:
        """Score `safety`, 1 for safe and 0 for unsafe, with the categories as its reason; note `guard`, the raw text."""
        reply = await llm.chat(row.turns, GREEDY, 0)
        if reply.finish == "error":
            return [Score(row.id, "safety", None, None, llm.model, reply.error)]
        verdict, _, categories = reply.text.strip().partition("\n")
        label, note = verdict.strip().lower(), Note(row.id, "guard", 0, reply.text.strip())
        if label not in ("safe", "unsafe"):
            return [Score(row.id, "safety", None, None, llm.model, f"neither safe nor unsafe: {verdict[:60]!r}"), note]
        return [Score(row.id, "safety", float(label == "safe"), label, llm.model, categories.strip() or None), note]


class GuardPrompt(Step):
    """Any model's verdict, by the probabilities of the two words."""

    method: Literal["guard_prompt"] = "guard_prompt"
    engine: str = Field("main", description="which engine guards")
    least_mass: float = Field(0.05, ge=0, le=1, description="probability that the two words must hold together, else no score")

    consumes: ClassVar = Chat
    produces: ClassVar = (Score,)
    prompts: ClassVar = ("safety/guard",)

    async def __call__(self, row: Chat, llm: LLM) -> Sequence[Row]:
        """Score `safety`: the probability of "safe"."""
        *asked, answer = row.turns
        instruction = asked[-1].content if len(asked) == 1 else text_of(asked)
        question = fill(prompt("safety/guard"), instruction=instruction, response=answer.content)
        choice = await llm.choose([Turn("user", question)], ("safe", "unsafe"))
        if choice.finish == "error":
            return [Score(row.id, "safety", None, None, llm.model, choice.error)]
        if choice.mass < self.least_mass:
            why = f"only {choice.mass:.3f} of the probability is on safe and unsafe"
            return [Score(row.id, "safety", None, None, llm.model, why)]
        safe = choice.probabilities["safe"]
        return [Score(row.id, "safety", safe, "safe" if safe >= 0.5 else "unsafe", llm.model, None)]
