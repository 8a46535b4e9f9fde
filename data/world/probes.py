"""A vLLM engine over a demo checkpoint, and the few ways in which the measurements ask it."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .tokens import START

if TYPE_CHECKING:
    from vllm import LLM

Messages = list[dict[str, str]]


class Probe:
    def __init__(self, folder: Path) -> None:
        os.environ.update(
            VLLM_ENABLE_V1_MULTIPROCESSING="0", VLLM_CPU_KVCACHE_SPACE="1", HF_HUB_OFFLINE="1", VLLM_LOGGING_LEVEL="ERROR"
        )
        from vllm import LLM

        self.llm: LLM = LLM(
            str(folder), enforce_eager=True, max_model_len=2048, max_num_seqs=128, seed=0, disable_log_stats=True
        )

    def complete(
        self, texts: Sequence[str], temperature: float, samples: int = 1, tokens: int = 256, seed: int = 0
    ) -> list[list[str]]:
        """`samples` continuations of each text."""
        from vllm import SamplingParams, TokensPrompt

        wanted = [
            SamplingParams(n=samples, temperature=temperature, max_tokens=tokens, seed=seed + i if temperature else None)
            for i in range(len(texts))
        ]
        tokenizer = self.llm.get_tokenizer()
        prompts = [TokensPrompt(prompt_token_ids=tokenizer.encode(text, add_special_tokens=False)) for text in texts]
        found = self.llm.generate(prompts, wanted, use_tqdm=False)
        return [[one.text for one in reply.outputs] for reply in found]

    def chat(
        self, dialogues: Sequence[Messages], temperature: float = 0.0, samples: int = 1, tokens: int = 256
    ) -> list[list[str]]:
        return self.complete([rendered(messages) for messages in dialogues], temperature, samples, tokens)

    def ask(self, prompts: Sequence[str], tokens: int = 400) -> list[str]:
        """The greedy reply to each prompt."""
        return [replies[0] for replies in self.chat([[{"role": "user", "content": one}] for one in prompts], tokens=tokens)]

    def choose(self, dialogues: Sequence[Messages], options: str) -> list[list[float]]:
        """The probability of each one-letter option at the first position of the reply."""
        from vllm import SamplingParams, TokensPrompt

        tokenizer = self.llm.get_tokenizer()
        option_ids = [tokenizer.encode(option, add_special_tokens=False)[0] for option in options]
        texts = [rendered(messages) for messages in dialogues]
        ids = [TokensPrompt(prompt_token_ids=tokenizer.encode(text, add_special_tokens=False)) for text in texts]
        found = self.llm.generate(ids, SamplingParams(temperature=0, max_tokens=1, logprobs=20), use_tqdm=False)
        rows = []
        for reply in found:
            logprobs = reply.outputs[0].logprobs
            seen = logprobs[0] if logprobs else {}
            chances = [math.exp(seen[one].logprob) if one in seen else 1e-9 for one in option_ids]
            rows.append([chance / sum(chances) for chance in chances])
        return rows


def rendered(messages: Messages) -> str:
    turns = "".join(f"{START}{message['role']}\n{message['content']}<|im_end|>\n" for message in messages)
    return f"{turns}{START}assistant\n"


def auc(right: Sequence[float], wrong: Sequence[float]) -> float:
    """The chance that a right answer scores above a wrong one, ties counting half."""
    if not right or not wrong:
        return math.nan
    import numpy as np

    a_N, b_M = np.asarray(right), np.asarray(wrong)
    return float(((a_N[:, None] > b_M[None, :]) + 0.5 * (a_N[:, None] == b_M[None, :])).mean())
