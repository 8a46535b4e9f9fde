"""The vLLM engine, in process. The only file that imports vLLM, whose Python API moves: everything of it is here.

The engine steps on the event loop of those who ask: between two steps their coroutines run, so there is no batch to form and no
barrier, and continuous batching stays full. A thread of its own was measured first: its fight for the interpreter's lock cost a
quarter of the tokens/s on two cores (docs/performance.md). Lengths are checked before a request is submitted, because one
over-long prompt would abort its neighbours' call.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Sequence
from math import exp
from typing import TYPE_CHECKING, overload

from ...schemas.digest import canonical
from ...schemas.llm import Choice, Decoding, JSONSchema, Reply, Reward, Speaker
from ...schemas.tables import Turn
from ...schemas.template import TemplateError
from .death import EngineDead, OutOfMemory, is_out_of_memory
from .first_token import Drawn, draw_without, failed
from .tokens import Chatter, option_ids

if TYPE_CHECKING:
    from vllm import PoolingParams, RequestOutput, SamplingParams
    from vllm.outputs import PoolingRequestOutput

    from .spec import VllmSpec

    Output = RequestOutput | PoolingRequestOutput


class VllmEngine:
    """A model in this process behind the `LLM` protocol."""

    def __init__(self, spec: VllmSpec) -> None:
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # in process: twice the tokens/s of a child on small models
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
        os.environ["VLLM_CPU_KVCACHE_SPACE"] = str(spec.kv_cache_gib)
        if spec.batch_invariant:
            os.environ["VLLM_BATCH_INVARIANT"] = "1"
        from vllm import EngineArgs, PoolingParams, SamplingParams
        from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams
        from vllm.usage.usage_lib import UsageContext
        from vllm.v1.engine.llm_engine import LLMEngine

        self._sampling, self._pooling, self._structured = SamplingParams, PoolingParams, StructuredOutputsParams
        self._final = RequestOutputKind.FINAL_ONLY
        self._engine = LLMEngine.from_engine_args(
            EngineArgs(**spec.engine_args()),
            usage_context=UsageContext.LLM_CLASS,  # whose defaults are for throughput
        )
        self.model, self.revision = spec.name, spec.resolved_revision()
        self.window = self._engine.model_config.max_model_len
        self._tokenizer = self._engine.renderer.get_tokenizer()
        self._pooled, self._template = spec.runner == "pooling", spec.template
        self._chatter: Chatter | None = None
        self._user_stops: tuple[list[int], list[str]] | None = None
        self._names = itertools.count()
        self._waiting: dict[str, asyncio.Future[Output]] = {}
        self._greedy: dict[tuple[tuple[Turn, ...], Decoding, str], asyncio.Future[Reply]] = {}
        self._stepping: asyncio.Task[None] | None = None
        self._death: BaseException | None = None
        self.tokens_in = self.tokens_out = self.steps = 0  # since the start, for the progress line
        self._warm_up()

    # -- the protocol ------------------------------------------------------------------------------------------------

    async def complete(self, prompt: str | Sequence[int], decoding: Decoding, seed: int) -> Reply:
        """Continue raw text (which gets the tokenizer's usual BOS) or token ids (which get nothing)."""
        ids = self._tokenizer.encode(prompt) if isinstance(prompt, str) else list(prompt)
        return (await self._draw(ids, decoding, seed)).reply()

    async def chat(
        self,
        turns: Sequence[Turn],
        decoding: Decoding,
        seed: int,
        schema: JSONSchema | None = None,
        speaker: Speaker = "assistant",
    ) -> Reply:
        """Write the next turn: the assistant's, or the user's."""
        if speaker == "user":
            return await self._user(turns, decoding, seed)
        if decoding.temperature > 0.0:
            return await self._answer(turns, decoding, seed, schema)
        key = (tuple(turns), decoding, canonical(schema))  # who asks the same greedily at the same time, gets the same reply
        if (asked := self._greedy.get(key)) is None:
            asked = self._greedy[key] = asyncio.ensure_future(self._answer(turns, decoding, seed, schema))
            asked.add_done_callback(lambda _: self._greedy.pop(key))
        return await asyncio.shield(asked)

    async def choose(self, asked: str | Sequence[Turn], options: Sequence[str]) -> Choice:
        """Probabilities of the options as the answer's first token, from that token's log-probabilities."""
        if isinstance(asked, str):
            prompt_ids, option = self._tokenizer.encode(asked), option_ids(self._tokenizer, options, after=asked)
        else:
            prompt_ids, option = self.chatter.answer_ids(asked), option_ids(self._tokenizer, options)
        if fault := self._too_long(prompt_ids):
            return Choice(finish="error", error=fault)
        params = self._sampling(
            max_tokens=1, temperature=0.0, logprob_token_ids=option, detokenize=False, output_kind=self._final
        )
        output = await self._submit(prompt_ids, params)
        logprobs = output.outputs[0].logprobs
        assert logprobs is not None  # they were asked for
        first = logprobs[0]
        shares = [exp(first[token_id].logprob) for token_id in option]
        mass = sum(shares)
        if not mass > 0.0:
            return Choice(finish="error", error=f"the model gives no probability to any of {list(options)}")
        return Choice({name: share / mass for name, share in zip(options, shares, strict=True)}, mass)

    async def score(self, turns: Sequence[Turn]) -> Reward:
        """The raw reward of a conversation; pooling engines only."""
        if not self._pooled:
            return Reward(float("nan"), "error", f"{self.model} runs as a generator; a reward needs `runner: pooling`")
        ids = self._tokenizer.encode(self.chatter.render(turns, False), add_special_tokens=False)
        if fault := self._too_long(ids, room=0):
            return Reward(float("nan"), "error", fault)
        output = await self._submit(ids, self._pooling(task="classify", use_activation=False))
        return Reward(float(output.outputs.data.reshape(-1)[0]))

    @property
    def chatter(self) -> Chatter:
        """The model's way of writing conversations.

        Raises:
            TemplateError: if it has none.
        """
        if self._chatter is None:
            self._chatter = Chatter(self._tokenizer, self.model, self._template)
        return self._chatter

    def close(self) -> None:
        """Give the memory back."""
        self._engine.engine_core.shutdown()

    def _warm_up(self, requests: int = 64) -> None:
        """Take the first steps, in which kernels are chosen and memory is touched, as a part of loading."""
        if self._pooled:
            return
        length = min(24, self.window // 2)
        for seed in range(requests):
            params = self._sampling(temperature=1.0, seed=seed, max_tokens=length, output_kind=self._final)
            self._engine.add_request(f"warm-up {seed}", {"prompt_token_ids": [seed + 1] * (1 + seed % length)}, params)
        while self._engine.has_unfinished_requests():
            self._engine.step()

    # -- one request -------------------------------------------------------------------------------------------------

    async def _answer(self, turns: Sequence[Turn], decoding: Decoding, seed: int, schema: JSONSchema | None) -> Reply:
        drawn = await self._draw(self.chatter.answer_ids(turns), decoding, seed, schema=schema)
        return self.chatter.without_reasoning(drawn.reply())

    async def _user(self, turns: Sequence[Turn], decoding: Decoding, seed: int) -> Reply:
        try:
            ids = self.chatter.user_ids(turns)
        except TemplateError as refusal:
            return failed(str(refusal)).reply()
        self._user_stops = self._user_stops or self.chatter.user_stops()
        stop_ids, stops = self._user_stops

        async def draw(prompt_ids: list[int], decoding: Decoding, seed: int, bias: dict[int, float]) -> Drawn:
            return await self._draw(prompt_ids, decoding, seed, stop_ids=stop_ids, stops=stops, bias=bias)

        banned = self.chatter.banned_ids(decoding.ban_first)
        return (await draw_without(banned, draw, self.chatter.decode, ids, decoding, seed)).reply()

    async def _draw(
        self,
        prompt_ids: list[int],
        decoding: Decoding,
        seed: int,
        *,
        schema: JSONSchema | None = None,
        stop_ids: Sequence[int] = (),
        stops: Sequence[str] = (),
        bias: dict[int, float] | None = None,
    ) -> Drawn:
        if fault := self._too_long(prompt_ids):
            return failed(fault, len(prompt_ids))
        params = self._sampling(
            temperature=decoding.temperature,
            top_p=decoding.top_p,
            max_tokens=min(decoding.max_tokens, self.window - len(prompt_ids)),
            seed=None if decoding.temperature == 0.0 else seed,
            stop=[*decoding.stop, *stops] or None,
            stop_token_ids=list(stop_ids) or None,
            logit_bias=bias or None,
            structured_outputs=self._structured(json=schema) if schema else None,
            skip_special_tokens=self._chatter is None or not self._chatter.shows_special,
            output_kind=self._final,
        )
        drawn = (await self._submit(prompt_ids, params)).outputs[0]
        written = len(drawn.token_ids)
        self.tokens_out += written
        stopped, by_string = drawn.finish_reason != "length", isinstance(drawn.stop_reason, str)
        return Drawn(drawn.text, tuple(drawn.token_ids), stopped, len(prompt_ids), written, by_string)

    def _too_long(self, prompt_ids: Sequence[int], room: int = 1) -> str:
        if len(prompt_ids) + room <= self.window:
            return ""
        return f"the prompt has {len(prompt_ids)} tokens; {self.model} takes {self.window - room}"

    @overload
    async def _submit(self, prompt_ids: list[int], params: SamplingParams) -> RequestOutput: ...
    @overload
    async def _submit(self, prompt_ids: list[int], params: PoolingParams) -> PoolingRequestOutput: ...
    async def _submit(self, prompt_ids: list[int], params: SamplingParams | PoolingParams) -> Output:
        if self._death is not None:
            raise self._dead()
        name, answer = str(next(self._names)), asyncio.get_running_loop().create_future()
        self._engine.add_request(name, {"prompt_token_ids": prompt_ids}, params)  # refuses bad parameters: the asker alone pays
        self._waiting[name] = answer
        if self._stepping is None or self._stepping.done():
            self._stepping = asyncio.create_task(self._step())
        output = await answer
        self.tokens_in += len(prompt_ids)
        return output

    async def _step(self) -> None:
        """Step while anyone waits. Between steps, those who were answered go on, and ask again before the next one begins."""
        while self._waiting:
            await asyncio.sleep(0)
            try:
                outputs = self._engine.step()
                self.steps += 1
            except Exception as death:
                self._death = death
                for answer in self._waiting.values():
                    _settle(answer, self._dead())
                self._waiting.clear()
                return
            for output in outputs:
                if output.finished:
                    _settle(self._waiting.pop(output.request_id), output)

    def _dead(self) -> EngineDead:
        kind = OutOfMemory if self._death is not None and is_out_of_memory(self._death) else EngineDead
        error = kind(f"the engine of {self.model} has died: {type(self._death).__name__}: {self._death}")
        error.__cause__ = self._death
        return error


def _settle(future: asyncio.Future, outcome: Output | EngineDead) -> None:
    if future.done():  # who asked has been cancelled
        return
    if isinstance(outcome, EngineDead):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
