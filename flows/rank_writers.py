"""Which way of writing answers suits a model that is to be trained: self-aligned perplexity, lowest first.

Ren, Chen and Liu, "Efficiently Selecting Response Generation Strategies for Synthetic Data Construction by Self-Aligned
Perplexity", arXiv:2502.11779, section 3. An answer's perplexity is taken in sight of a few of the target's *own* correct answers to other
questions, which takes the difficulty of the question out and leaves the style. Departures: the model's own chat template
(the authors wrap every model in Llama 2's); other questions by id (theirs by an offset that can wrap around to the question
itself); token ids are joined, not texts (the boundary cannot merge); questions and contexts are the same for every writer, or it is
no comparison. The paper ranks writers, not samples, with a correlation of about 0.3: so a ranking comes with its
uncertainty, and is no verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, isfinite
from pathlib import Path

import numpy as np
import polars as pl

from ..schemas.digest import seed_of
from ..schemas.errors import PlainError
from ..schemas.tables import Answer, Chat, Turn, conform, rows

Surprise = Callable[[Sequence[Turn], str], float]  # (conversation, answer) -> mean nats a token of the answer; NaN if it cannot
ASK = (
    "{question}\n\nBelow are answers to other questions. Write in their style.\n\n{examples}\n\n"
    "Now answer the question above in that style."
)
RESAMPLES = 2000


class RankError(PlainError, ValueError):
    """What was handed over cannot be ranked. The message says what is missing."""


@dataclass(frozen=True, slots=True)
class Rank:
    """One writer's place. The first three are over its answers' perplexities."""

    writer: str
    mean: float
    median: float
    standard_error: float
    log_mean: float  # mean of log-perplexity, which outliers sway less
    answers: int
    mean_length: float  # characters: perplexity favours long, repetitive answers
    beats_next: float  # share of paired resamples in which it is below the next writer; NaN for the last


def rank_writers(
    chats: pl.DataFrame,
    answers: pl.DataFrame,
    own: pl.DataFrame,
    surprise: Surprise,
    *,
    examples: int = 3,
    most: int = 50,
    seed: int = 0,
) -> list[Rank]:
    """Writers (the `method` and `model` of the answers) from the most suitable to the least.

    `own` holds the target's own correct answers, of the same table type; only questions that every writer has answered count, the
    first answer of each, at most `most`.

    Raises:
        RankError: for fewer than two writers, no shared question, or too few own answers to other questions.
    """
    asked = {chat.id: chat for chat in rows(Chat, chats)}
    written: dict[str, dict[str, Answer]] = {}
    for answer in sorted(rows(Answer, answers), key=lambda a: (a.ordinal, a.id)):
        if answer.prompt in asked and answer.text.strip():
            written.setdefault(f"{answer.method} by {answer.model}", {}).setdefault(answer.prompt, answer)
    if len(written) < 2:
        raise RankError(f"{len(written)} writers ({', '.join(written) or 'none'}): a ranking needs two")
    shared = sorted(set.intersection(*(set(by) for by in written.values())))
    shared = sorted(shared, key=lambda prompt: seed_of(seed, prompt))[:most]
    if not shared:
        counts = ", ".join(f"{writer} {len(by)}" for writer, by in written.items())
        raise RankError(f"no question has an answer from every writer ({counts}); let them answer the same prompts")
    contexts = {prompt: _context(prompt, conform(Answer, own), examples, seed) for prompt in shared}
    told = {writer: [_perplexity(asked[p], by[p], contexts[p], surprise) for p in shared] for writer, by in written.items()}
    if mute := [writer for writer, values in told.items() if not np.isfinite(values).any()]:
        raise RankError(f"no answer of {mute[0]} fits the model's window; use shorter ones, or fewer examples")
    ranked = sorted(told, key=lambda writer: (float(np.nanmean(told[writer])), writer))
    return [
        _rank(writer, told, [len(written[writer][p].text) for p in shared], ranked[place + 1 : place + 2], seed)
        for place, writer in enumerate(ranked)
    ]


def table(ranks: Sequence[Rank]) -> str:
    """The ranking for a terminal."""
    head = f"{'writer':<40} {'mean':>8} {'median':>8} {'± error':>8} {'log':>6} {'n':>4} {'length':>7} {'beats next':>10}"
    lines = [
        f"{r.writer[:40]:<40} {r.mean:>8.3f} {r.median:>8.3f} {r.standard_error:>8.3f} {r.log_mean:>6.3f} {r.answers:>4} "
        f"{r.mean_length:>7.0f} {'' if np.isnan(r.beats_next) else f'{r.beats_next:.0%}':>10}"
        for r in ranks
    ]
    close = [r for r in ranks[:1] if r.beats_next < 0.95]
    return "\n".join([head, *lines, *(["The first two are too close to call."] if close else [])])


def hugging_face(model: str, *, device: str = "cpu", window: int | None = None) -> Surprise:
    """A forward pass of a Hugging Face model; an answer that does not fit the window counts as NaN."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    network = network.eval().to(torch.device(device))
    limit = window or network.config.max_position_embeddings

    @torch.inference_mode()
    def surprise(turns: Sequence[Turn], answer: str) -> float:
        said = [{"role": turn.role, "content": turn.content} for turn in turns]
        text = tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=True)
        before = tokenizer.encode(text, add_special_tokens=False)
        after = tokenizer.encode(answer, add_special_tokens=False)
        if not after or len(before) + len(after) > limit:
            return float("nan")
        ids = torch.tensor([before + after], device=device)
        logits = network(ids).logits[0, len(before) - 1 : -1].float()
        return float(torch.nn.functional.cross_entropy(logits, ids[0, len(before) :]))

    return surprise


def command(prompts: Path, answers: Path, own: Path, model: str, *, correct: Path | None, examples: int, most: int) -> str:
    """`rookery rank-writers`: Parquet tables of `Chat` and `Answer` in, the ranking as text out."""
    mine, checked = own_correct(pl.read_parquet(own), correct)
    ranks = rank_writers(
        pl.read_parquet(prompts), pl.read_parquet(answers), mine, hugging_face(model), examples=examples, most=most
    )
    return table(ranks) + ("" if checked else "\nOwn answers were not checked (--correct): wrong ones count as style too.")


def own_correct(answers: pl.DataFrame, correct: Path | None) -> tuple[pl.DataFrame, bool]:
    """The target's own answers that a checker found correct (a file of ids, one a line); all of them, and False, without one."""
    if correct is None:
        return answers, False
    names = [line.strip() for line in correct.read_text(encoding="utf-8").splitlines() if line.strip()]
    return answers.filter(pl.col("id").is_in(names)), True


def _context(prompt: str, own: pl.DataFrame, examples: int, seed: int) -> str:
    """The target's own answers to other questions, one to a question, the same for every writer."""
    others = own.filter((pl.col("prompt") != prompt) & (pl.col("text").str.strip_chars() != ""))
    others = others.sort("ordinal", "id").unique("prompt", keep="first", maintain_order=True)
    drawn = sorted(others.select("id", "text").iter_rows(), key=lambda row: seed_of(seed, prompt, row[0]))[:examples]
    if len(drawn) < examples:
        raise RankError(
            f"the target has {len(drawn)} own answers to questions other than {prompt}, {examples} are wanted; "
            "let it answer more questions, or ask for fewer examples"
        )
    return "\n\n".join(text for _, text in drawn)


def _perplexity(chat: Chat, answer: Answer, context: str, surprise: Surprise) -> float:
    question = ASK.format(question=chat.turns[-1].content, examples=context)
    nats = surprise([*chat.turns[:-1], Turn("user", question)], answer.text)
    return exp(min(nats, 700.0)) if isfinite(nats) else float("nan")


def _rank(writer: str, told: dict[str, list[float]], sizes: list[int], below: list[str], seed: int) -> Rank:
    mine_N = np.array(told[writer])
    fine_N = mine_N[np.isfinite(mine_N)]
    error = float(fine_N.std(ddof=1) / np.sqrt(len(fine_N))) if len(fine_N) > 1 else float("nan")
    beats = float("nan")
    if below:
        gap_N = mine_N - np.array(told[below[0]])
        gap_N = gap_N[np.isfinite(gap_N)]
        rng = np.random.default_rng(seed)
        means_R = gap_N[rng.integers(0, len(gap_N), (RESAMPLES, len(gap_N)))].mean(axis=1) if len(gap_N) else np.array([0.0])
        beats = float((means_R < 0).mean())
    logs = float(np.log(fine_N).mean())
    return Rank(writer, float(fine_N.mean()), float(np.median(fine_N)), error, logs, len(fine_N), float(np.mean(sizes)), beats)
