"""A user's turn that must not begin with certain tokens: draw one token under a bias, then continue without it.

Magpie's authors mask markdown headers for Llama-3.1 with a logits processor that acts on the first token only (their
`gen_ins.py`). A server and vLLM's own parameters know a bias for the whole text only; so the first token is a request
of its own, which the prefix cache makes cheap. The rest is drawn under another seed: with the same one, the same noise
would meet the second token that has met the first, and favour the same word twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from ...schemas.digest import seed_of
from ...schemas.llm import Decoding, Reply

BAN = -100.0  # the strongest that OpenAI's protocol and vLLM take


@dataclass(frozen=True, slots=True)
class Drawn:
    """What one request gave. `stopped` by an end of turn or a stop string, else by the limit of tokens."""

    text: str
    token_ids: tuple[int, ...]
    stopped: bool
    tokens_in: int
    tokens_out: int
    by_string: bool = False  # a stop string ended it, so `text` is shorter than the tokens
    error: str = ""

    def reply(self) -> Reply:
        """As the protocol has it."""
        if self.error:
            return Reply("", "error", self.tokens_in, 0, self.error)
        return Reply(self.text, "stop" if self.stopped else "length", self.tokens_in, self.tokens_out)


def failed(why: str, tokens_in: int = 0) -> Drawn:
    """A request that gave nothing."""
    return Drawn("", (), True, tokens_in, 0, error=why)


Draw = Callable[[list[int], Decoding, int, dict[int, float]], Awaitable[Drawn]]  # (prompt, decoding, seed, bias)
Decode = Callable[[Sequence[int]], str]


async def draw_without(
    banned: Sequence[int], draw: Draw, decode: Decode, prompt_ids: list[int], decoding: Decoding, seed: int
) -> Drawn:
    """Draw a text whose first token is none of the banned ones."""
    if not banned:
        return await draw(prompt_ids, decoding, seed, {})
    one = decoding.model_copy(update={"max_tokens": 1})
    first = await draw(prompt_ids, one, seed, dict.fromkeys(banned, BAN))
    if first.error or first.stopped or decoding.max_tokens == 1:
        return first
    if not first.token_ids:
        return failed("the server does not return token ids, which a ban on the first token needs; use a vLLM server")
    fewer = decoding.model_copy(update={"max_tokens": decoding.max_tokens - 1})
    rest = await draw([*prompt_ids, *first.token_ids], fewer, seed_of(seed, "after the first token"), {})
    if rest.error:
        return rest
    ids = (*first.token_ids, *rest.token_ids)
    # A character's bytes may be spread over both requests, so the tokens are decoded together where that is possible.
    text = first.text + rest.text if rest.by_string else decode(ids)
    return Drawn(text, ids, rest.stopped, first.tokens_in, first.tokens_out + rest.tokens_out, rest.by_string)
