"""How much an instruction helps a small model to write the answer: the two likelihoods of IFD.

Li et al., "Superfiltering", arXiv:2402.00530, section 2: mean negative log-likelihood of the answer's tokens after the
instruction, and alone; `selectors.ifd.perplexity_ratio` makes IFD of them. The authors' model is GPT-2 with 1,024 tokens.
Prompt and answer are tokenised apart and joined as ids, so that both likelihoods are of the very same tokens; the first
token of the answer alone has nothing before it but the beginning-of-text token, and where a model has none, it is left out
of both. Needs no engine: one forward pass of a causal model for each, batched by length.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class Likelihood:
    """A causal language model that says how likely an answer is."""

    def __init__(
        self, model: str, *, revision: str | None = None, max_tokens: int = 1024, batch: int = 8, device: str | None = None
    ) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self._tokenizer = AutoTokenizer.from_pretrained(model, revision=revision)
        self._model = AutoModelForCausalLM.from_pretrained(model, revision=revision).eval()
        self._model.to(self._device)
        self._max_tokens, self._batch = max_tokens, batch

    def nats(self, instructions: Sequence[str], answers: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """(given, alone): mean negative log-likelihood per answer token, in nats. NaN where no token can be judged.

        An answer that does not fit behind its instruction loses its end in both.
        """
        bos = [] if self._tokenizer.bos_token_id is None else [self._tokenizer.bos_token_id]
        before, after = [], []
        for instruction, answer in zip(instructions, answers, strict=True):
            asked = [*bos, *self._ids(instruction + "\n")][: self._max_tokens // 2]
            before.append(asked)
            after.append(self._ids(answer)[: self._max_tokens - len(asked)])
        skip = 0 if bos else 1
        given = self._mean_nats(before, after, skip)
        return given, self._mean_nats([bos] * len(after), after, skip)

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _mean_nats(self, before: list[list[int]], after: list[list[int]], skip: int) -> np.ndarray:
        import torch

        nats_N = np.full(len(after), np.nan)
        order = sorted((i for i in range(len(after)) if len(after[i]) > skip), key=lambda i: len(before[i]) + len(after[i]))
        for start in range(0, len(order), self._batch):
            rows = order[start : start + self._batch]
            width = max(len(before[i]) + len(after[i]) for i in rows)
            ids_BT = torch.zeros((len(rows), width), dtype=torch.long)
            mask_BT, judged_BT = torch.zeros_like(ids_BT), torch.zeros((len(rows), width), dtype=torch.bool)
            for b, i in enumerate(rows):
                joined = [*before[i], *after[i]]
                ids_BT[b, : len(joined)] = torch.tensor(joined)
                mask_BT[b, : len(joined)] = 1
                judged_BT[b, len(before[i]) + skip : len(joined)] = True
            with torch.inference_mode():
                logits = self._model(ids_BT.to(self._device), attention_mask=mask_BT.to(self._device)).logits.float()
            picked = torch.log_softmax(logits[:, :-1], -1).gather(2, ids_BT[:, 1:, None].to(self._device))[..., 0].cpu()
            judged = judged_BT[:, 1:]
            nats_N[rows] = (-(picked * judged).sum(1) / judged.sum(1)).numpy()
        return nats_N
