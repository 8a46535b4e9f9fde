"""The vLLM engine, in process. The only file that imports vLLM, whose Python API moves: everything of it is here.

One thread drives `LLMEngine.add_request` and `step`; coroutines wait on futures of their own loop. So there is no batch to
form and no barrier: whoever has a question asks it, and continuous batching stays full. Lengths are checked before a
request is submitted, because one over-long prompt would abort its neighbours' call.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp
from typing import TYPE_CHECKING

from ...schemas.llm import Choice, Decoding, JSONSchema, Reply, Reward, Speaker
from ...schemas.tables import Turn
from ...schemas.template import TemplateError
from .first_token import Drawn, draw_without, failed
from .tokens import Chatter, option_ids

if TYPE_CHECKING:
    from vllm import RequestOutput
    from vllm.outputs import PoolingRequestOutput

    from .spec import VllmSpec

    Output = RequestOutput | PoolingRequestOutput


class EngineDead(RuntimeError):
    """The engine's loop has ended; its process is of no further use."""


@dataclass(slots=True)
class _Request:
    prompt_ids: list[int]
    params: object
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future


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
        from vllm.v1.engine.llm_engine import LLMEngine

        self._sampling, self._pooling, self._structured = SamplingParams, PoolingParams, StructuredOutputsParams
        self._final = RequestOutputKind.FINAL_ONLY
        self._engine = LLMEngine.from_engine_args(EngineArgs(**spec.engine_args()))
        self.model, self.revision = spec.name, spec.resolved_revision()
        self.window = self._engine.model_config.max_model_len
        self._tokenizer = self._engine.renderer.get_tokenizer()
        self._pooled, self._template = spec.runner == "pooling", spec.template
        self._chatter: Chatter | None = None
        self._user_stops: tuple[list[int], list[str]] | None = None
        self._inbox: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._names = itertools.count()
        self._death: BaseException | None = None
        self.tokens_in = self.tokens_out = 0  # since the start, for the progress line
        self._thread = threading.Thread(target=self._drive, name="vllm-engine", daemon=True)
        self._thread.start()

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
        reply = (await self._draw(self.chatter.answer_ids(turns), decoding, seed, schema=schema)).reply()
        return self.chatter.without_reasoning(reply)

    async def choose(self, turns: Sequence[Turn], options: Sequence[str]) -> Choice:
        """Probabilities of the options as the answer's first token, from that token's log-probabilities."""
        prompt_ids, option = self.chatter.answer_ids(turns), option_ids(self._tokenizer, options)
        if fault := self._too_long(prompt_ids):
            return Choice(finish="error", error=fault)
        params = self._sampling(
            max_tokens=1, temperature=0.0, logprob_token_ids=option, detokenize=False, output_kind=self._final
        )
        output = await self._submit(prompt_ids, params)
        logprobs = output.outputs[0].logprobs[0]
        shares = [exp(logprobs[token_id].logprob) for token_id in option]
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
        """End the loop and give the memory back."""
        self._inbox.put(None)
        self._thread.join(timeout=30)
        self._engine.engine_core.shutdown()

    # -- one request -------------------------------------------------------------------------------------------------

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

    async def _submit(self, prompt_ids: list[int], params: object) -> Output:
        if self._death is not None:
            raise self._dead()
        loop = asyncio.get_running_loop()
        request = _Request(prompt_ids, params, loop, loop.create_future())
        self._inbox.put(request)
        output = await request.future
        self.tokens_in += len(prompt_ids)
        return output

    # -- the thread --------------------------------------------------------------------------------------------------

    def _drive(self) -> None:
        waiting: dict[str, _Request] = {}
        try:
            while self._admit(waiting):
                finished = [output for output in self._engine.step() if output.finished]
                self._answer([(waiting.pop(output.request_id), output) for output in finished])
        except BaseException as death:
            self._death = death
            self._fail(waiting)

    def _admit(self, waiting: dict[str, _Request]) -> bool:
        """Take in what has been asked; sleep if there is nothing to do. False when it is time to stop."""
        while not waiting or not self._inbox.empty():
            request = self._inbox.get()
            if request is None:
                return False
            name = str(next(self._names))
            try:
                self._engine.add_request(name, {"prompt_token_ids": request.prompt_ids}, request.params)
            except (ValueError, TypeError) as refusal:  # this request's own fault: it alone pays
                request.loop.call_soon_threadsafe(_raise, request.future, refusal)
            else:
                waiting[name] = request
        return True

    def _dead(self) -> EngineDead:
        error = EngineDead(f"the engine of {self.model} has died: {type(self._death).__name__}: {self._death}")
        error.__cause__ = self._death
        return error

    def _answer(self, done: list[tuple[_Request, Output]]) -> None:
        for loop, group in itertools.groupby(done, key=lambda pair: pair[0].loop):  # one wake-up for a whole step
            loop.call_soon_threadsafe(_resolve, [(request.future, output) for request, output in group])

    def _fail(self, waiting: dict[str, _Request]) -> None:
        while not self._inbox.empty():
            if (request := self._inbox.get()) is not None:
                waiting[str(next(self._names))] = request
        for request in waiting.values():
            request.loop.call_soon_threadsafe(_raise, request.future, self._dead())


def _resolve(pairs: list[tuple[asyncio.Future, Output]]) -> None:
    for future, output in pairs:
        if not future.done():
            future.set_result(output)


def _raise(future: asyncio.Future, error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
