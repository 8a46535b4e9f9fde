"""Any server that speaks OpenAI's HTTP protocol: `vllm serve`, another framework, or a paid service.

429, 5xx and lost connections are tried again after a pause that grows, with jitter; a server that says it is too much is sent fewer
requests at once (`gate.py`). What still fails becomes a reply that says so.
Opening a user turn (Magpie) goes through the raw completions route with token ids, so the engine needs the model's
tokenizer; a chat-only service cannot do it and says so.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from math import exp
from typing import TYPE_CHECKING, TypeVar, cast

from ...schemas.llm import Choice, Decoding, JSONSchema, Reply, Reward, Speaker
from ...schemas.reasoning import separate
from ...schemas.tables import Turn
from ...schemas.template import TemplateError
from .first_token import Drawn, draw_without, failed
from .gate import Gate, pause_seconds
from .tokens import Chatter, tokenizer_of

if TYPE_CHECKING:
    from openai import Omit
    from openai.types import CompletionUsage
    from openai.types.chat import ChatCompletionMessageParam
    from openai.types.shared_params import ResponseFormatJSONSchema

    from .spec import EndpointSpec


T = TypeVar("T")
OVERLOADED = (429, 503, 529)  # statuses that say "too much"; 529 is Anthropic's


class EndpointEngine:
    """A served model behind the `LLM` protocol."""

    def __init__(self, spec: EndpointSpec) -> None:
        from openai import AsyncOpenAI

        self._spec = spec
        self.model, self.revision = spec.name, spec.revision
        self.tokens_in = self.tokens_out = 0
        self._key = os.environ.get(spec.api_key_env, "")
        self._client = AsyncOpenAI(
            base_url=spec.url,
            api_key=self._key or "none",
            timeout=spec.timeout_seconds,
            max_retries=0,  # `_ask` does that, since the client's own tries would hide refusals from the gate
        )
        self._gate = Gate(spec.in_flight)
        self._chance = random.Random()  # of pauses; no row depends on it
        self.steps = 0
        self._chatter: Chatter | None = None

    async def complete(self, prompt: str | Sequence[int], decoding: Decoding, seed: int) -> Reply:
        """Continue raw text or token ids through the completions route."""
        ids = prompt if isinstance(prompt, str) else list(prompt)
        return (await self._complete(ids, decoding, seed)).reply()

    async def chat(
        self,
        turns: Sequence[Turn],
        decoding: Decoding,
        seed: int,
        schema: JSONSchema | None = None,
        speaker: Speaker = "assistant",
    ) -> Reply:
        """Write the next turn: the assistant's by the chat route, the user's by the completions route."""
        if speaker == "user":
            return await self._user(turns, decoding, seed)
        from openai import OpenAIError, omit

        shape: ResponseFormatJSONSchema | Omit = omit
        if schema:
            shape = {"type": "json_schema", "json_schema": {"name": "reply", "schema": schema, "strict": True}}
        try:
            answer = await self._ask(
                lambda: self._client.chat.completions.create(
                    model=self.model,
                    messages=_messages(turns),
                    temperature=decoding.temperature,
                    top_p=decoding.top_p,
                    max_tokens=decoding.max_tokens,
                    seed=seed,
                    stop=list(decoding.stop) or omit,
                    response_format=shape,
                )
            )
        except OpenAIError as error:
            return Reply("", "error", error=self._why(error))
        message = answer.choices[0].message
        named = message.model_extra or {}  # servers with a reasoning parser give it apart, under either name
        inside, said = separate(message.content or "")
        reply = self._drawn(said, (), answer.choices[0].finish_reason, None, answer.usage).reply()
        return replace(reply, reasoning=named.get("reasoning_content") or named.get("reasoning") or inside)

    async def choose(self, asked: str | Sequence[Turn], options: Sequence[str]) -> Choice:
        """Probabilities of the options among the 20 likeliest first tokens, which is what the protocol gives."""
        from openai import OpenAIError

        try:
            likeliest = await (self._first_after(asked) if isinstance(asked, str) else self._first_of_answer(asked))
        except OpenAIError as error:
            return Choice(finish="error", error=self._why(error))
        if not likeliest:
            return Choice(finish="error", error=f"{self._spec.url} gives no log-probabilities; judge with another engine")
        shares = dict.fromkeys(options, 0.0)
        for token, logprob in likeliest:
            if token in shares:
                shares[token] += exp(logprob)
        mass = sum(shares.values())
        if not mass > 0.0:
            return Choice(finish="error", error=f"none of {list(options)} is among the 20 likeliest first tokens")
        return Choice({name: share / mass for name, share in shares.items()}, mass)

    async def _first_of_answer(self, turns: Sequence[Turn]) -> list[tuple[str, float]]:
        """The likeliest first tokens of an answer and their log-probabilities, by the chat route."""
        answer = await self._ask(
            lambda: self._client.chat.completions.create(
                model=self.model,
                messages=_messages(turns),
                temperature=0.0,
                max_tokens=1,
                logprobs=True,
                top_logprobs=20,
            )
        )
        logprobs = answer.choices[0].logprobs
        return (
            [(seen.token, seen.logprob) for seen in logprobs.content[0].top_logprobs] if logprobs and logprobs.content else []
        )

    async def _first_after(self, text: str) -> list[tuple[str, float]]:
        """The likeliest tokens after raw text and their log-probabilities, by the completions route."""
        answer = await self._ask(
            lambda: self._client.completions.create(model=self.model, prompt=text, temperature=0.0, max_tokens=1, logprobs=20)
        )
        logprobs = answer.choices[0].logprobs
        return list(logprobs.top_logprobs[0].items()) if logprobs and logprobs.top_logprobs else []

    async def score(self, turns: Sequence[Turn]) -> Reward:
        """Not part of the protocol."""
        return Reward(float("nan"), "error", "OpenAI's protocol has no reward; score with a vLLM engine, `runner: pooling`")

    @property
    def chatter(self) -> Chatter:
        """The model's way of writing conversations, from the tokenizer named in the spec."""
        if self._chatter is None:
            if self._spec.tokenizer is None:
                raise ValueError(
                    f"engine {self.model} at {self._spec.url} has no `tokenizer`, which opening a user turn needs; name "
                    "the model's folder or Hub name there"
                )
            self._chatter = Chatter(tokenizer_of(self._spec.tokenizer), self.model, self._spec.template)
        return self._chatter

    def close(self) -> None:
        """Connections close with the process."""

    def _why(self, error: Exception) -> str:
        """The error for a row, which is published: a server that repeats the key to us does not get it there."""
        said = f"{type(error).__name__}: {str(error).splitlines()[0][:300] if str(error) else 'no message'}"
        return said.replace(self._key, "***") if self._key else said

    async def _ask(self, request: Callable[[], Awaitable[T]]) -> T:
        """One question, tried again while that can help.

        Raises:
            OpenAIError: what it failed of in the end.
        """
        from openai import APIError

        for attempt in itertools.count():
            ticket = await self._gate.enter()
            try:
                answer = await request()
                self._gate.answered()
                return answer
            except APIError as error:
                status = getattr(error, "status_code", None)
                if status in OVERLOADED:
                    self._gate.refused(ticket)
                if attempt >= self._spec.retries or not _passes(status, error.code):
                    raise
                pause = pause_seconds(attempt, _asked_for(error), self._chance)
            finally:
                self.steps += 1
                self._gate.leave()
            await asyncio.sleep(pause)
        raise AssertionError("unreachable: counting does not end")

    async def _user(self, turns: Sequence[Turn], decoding: Decoding, seed: int) -> Reply:
        try:
            ids = self.chatter.user_ids(turns)
        except TemplateError as refusal:
            return failed(str(refusal)).reply()
        stop_ids, stops = self.chatter.user_stops()

        async def draw(prompt_ids: list[int], decoding: Decoding, seed: int, bias: dict[int, float]) -> Drawn:
            return await self._complete(prompt_ids, decoding, seed, stop_ids, stops, bias)

        banned = self.chatter.banned_ids(decoding.ban_first)
        return (await draw_without(banned, draw, self.chatter.decode, ids, decoding, seed)).reply()

    async def _complete(
        self,
        prompt: str | list[int],
        decoding: Decoding,
        seed: int,
        stop_ids: Sequence[int] = (),
        stops: Sequence[str] = (),
        bias: dict[int, float] | None = None,
    ) -> Drawn:
        from openai import OpenAIError, omit

        try:
            answer = await self._ask(
                lambda: self._client.completions.create(
                    model=self.model,
                    prompt=prompt,
                    temperature=decoding.temperature,
                    top_p=decoding.top_p,
                    max_tokens=decoding.max_tokens,
                    seed=seed,
                    stop=[*decoding.stop, *stops] or omit,
                    logit_bias={str(token_id): int(weight) for token_id, weight in bias.items()} if bias else omit,
                    extra_body={"stop_token_ids": list(stop_ids), "return_token_ids": True} if stop_ids else None,  # vLLM's own
                )
            )
        except OpenAIError as error:
            return failed(self._why(error))
        drawn = answer.choices[0]
        own = drawn.model_extra or {}
        return self._drawn(drawn.text, own.get("token_ids") or (), drawn.finish_reason, own.get("stop_reason"), answer.usage)

    def _drawn(
        self, text: str, token_ids: Sequence[int], finish: str | None, stop: object, usage: CompletionUsage | None
    ) -> Drawn:
        tokens_in, tokens_out = (usage.prompt_tokens, usage.completion_tokens) if usage else (0, 0)
        self.tokens_in += tokens_in
        self.tokens_out += tokens_out
        return Drawn(text, tuple(token_ids), finish != "length", tokens_in, tokens_out, isinstance(stop, str))


def _passes(status: int | None, code: str | None) -> bool:
    """Whether trying again can help: a lost connection (no status), a limit for a while, a server in trouble; not an empty account."""
    return code != "insufficient_quota" and (status is None or status in (408, 409, 429) or status >= 500)


def _asked_for(error: Exception) -> float:
    said = getattr(getattr(error, "response", None), "headers", {}).get("retry-after", "")
    return float(said) if said.isdigit() else 0.0


def _messages(turns: Sequence[Turn]) -> list[ChatCompletionMessageParam]:
    # The client has one type for each role, and a turn's role is text; a role that a server does not know, it refuses.
    return cast("list[ChatCompletionMessageParam]", [{"role": turn.role, "content": turn.content} for turn in turns])
