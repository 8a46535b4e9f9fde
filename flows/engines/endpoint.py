"""Any server that speaks OpenAI's HTTP protocol: `vllm serve`, another framework, or a paid service.

The `openai` client retries 429, 5xx and lost connections with back-off. What still fails becomes a reply that says so.
Opening a user turn (Magpie) goes through the raw completions route with token ids, so the engine needs the model's
tokenizer; a chat-only service cannot do it and says so.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from math import exp
from typing import TYPE_CHECKING, cast

from ...schemas.llm import Choice, Decoding, JSONSchema, Reply, Reward, Speaker
from ...schemas.reasoning import separate
from ...schemas.tables import Turn
from ...schemas.template import TemplateError
from .first_token import Drawn, draw_without, failed
from .tokens import Chatter, tokenizer_of

if TYPE_CHECKING:
    from openai import Omit
    from openai.types import CompletionUsage
    from openai.types.chat import ChatCompletionMessageParam
    from openai.types.shared_params import ResponseFormatJSONSchema

    from .spec import EndpointSpec


class EndpointEngine:
    """A served model behind the `LLM` protocol."""

    def __init__(self, spec: EndpointSpec) -> None:
        from openai import AsyncOpenAI

        self._spec = spec
        self.model, self.revision = spec.name, spec.revision
        self.tokens_in = self.tokens_out = 0
        self._client = AsyncOpenAI(
            base_url=spec.url,
            api_key=os.environ.get(spec.api_key_env, "none"),
            timeout=spec.timeout_seconds,
            max_retries=spec.retries,
        )
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
            answer = await self._client.chat.completions.create(
                model=self.model,
                messages=_messages(turns),
                temperature=decoding.temperature,
                top_p=decoding.top_p,
                max_tokens=decoding.max_tokens,
                seed=seed,
                stop=list(decoding.stop) or omit,
                response_format=shape,
            )
        except OpenAIError as error:
            return Reply("", "error", error=_why(error))
        message = answer.choices[0].message
        named = message.model_extra or {}  # servers with a reasoning parser give it apart, under either name
        inside, said = separate(message.content or "")
        reply = self._drawn(said, (), answer.choices[0].finish_reason, None, answer.usage).reply()
        return replace(reply, reasoning=named.get("reasoning_content") or named.get("reasoning") or inside)

    async def choose(self, turns: Sequence[Turn], options: Sequence[str]) -> Choice:
        """Probabilities of the options among the 20 likeliest first tokens, which is what the protocol gives."""
        from openai import OpenAIError

        try:
            answer = await self._client.chat.completions.create(
                model=self.model,
                messages=_messages(turns),
                temperature=0.0,
                max_tokens=1,
                logprobs=True,
                top_logprobs=20,
            )
        except OpenAIError as error:
            return Choice(finish="error", error=_why(error))
        logprobs = answer.choices[0].logprobs
        if logprobs is None or not logprobs.content:
            return Choice(finish="error", error=f"{self._spec.url} gives no log-probabilities; judge with another engine")
        shares = dict.fromkeys(options, 0.0)
        for seen in logprobs.content[0].top_logprobs:
            if seen.token in shares:
                shares[seen.token] += exp(seen.logprob)
        mass = sum(shares.values())
        if not mass > 0.0:
            return Choice(finish="error", error=f"none of {list(options)} is among the 20 likeliest first tokens")
        return Choice({name: share / mass for name, share in shares.items()}, mass)

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
            answer = await self._client.completions.create(
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
        except OpenAIError as error:
            return failed(_why(error))
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


def _messages(turns: Sequence[Turn]) -> list[ChatCompletionMessageParam]:
    # The client has one type for each role, and a turn's role is text; a role that a server does not know, it refuses.
    return cast("list[ChatCompletionMessageParam]", [{"role": turn.role, "content": turn.content} for turn in turns])


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0][:300] if str(error) else 'no message'}"
