"""Exports for what is trained otherwise: goals, dispreferred answers alone, rewarded rollouts, whole rankings.

- `reward_augmented`: Zhang et al., arXiv:2410.08067, section 3.2 (`generators/goals.py`).
- `d2o`: Duan et al., arXiv:2403.03419: no chosen side; K = 11 samples of the policy itself stand in its place.
- `infalign`: Balashankar et al., arXiv:2412.19792: raw rewards of N rollouts of the base policy, and their calibrated form.
- `listwise`: all scored answers in order, for losses on rankings.

Each gives a frame of its row class in `schemas.exports`, and the counts of the rows it skipped, by reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

import polars as pl

from ..generators.goals import Goals, relabel
from ..schemas.exports import Negative, Ranking, Rollouts, Writer
from ..schemas.tables import Answer, Chat, Score, conform, rows, schema
from .export import Skipped, default, ratings


def reward_augmented(
    chats: pl.DataFrame, answers: pl.DataFrame, preferences: pl.DataFrame, goals: Goals
) -> tuple[pl.DataFrame, Skipped]:
    """Every pair of `default` under the goal of either answer."""
    pairs, skipped = default(chats, answers, preferences)
    made, more = relabel(pairs, goals)
    return made, skipped | more


def d2o(
    chats: pl.DataFrame, answers: pl.DataFrame, negatives: Collection[str], *, policy: str, k: int = 11
) -> tuple[pl.DataFrame, Skipped]:
    """One row for each dispreferred answer (by id, labelled by a person or a guard) with the first k samples of `policy`.

    A negative that the policy wrote itself is skipped: it would be pushed down and pulled up at once. Self-samples that read
    the same count once; they are not filtered for safety, which the method does not ask for.
    """
    made, skipped = [], Counter(unknown_answer=len(set(negatives) - set(answers["id"])))
    for chat, said in _with_answers(chats, answers, skipped):
        bad = [answer for answer in said if answer.id in negatives]
        texts = {answer.text.strip() for answer in bad}
        own = {a.text.strip(): a for a in reversed(said) if a.model == policy and a.id not in negatives and a.text.strip()}
        samples = sorted((a for text, a in own.items() if text not in texts), key=lambda a: (a.ordinal, a.id))[:k]
        for negative in bad:
            if negative.model == policy:
                skipped["negative_of_the_policy"] += 1
            elif len(samples) < k:
                skipped["too_few_self_samples"] += 1
            else:
                made.append(
                    {
                        "prompt": _messages(chat),
                        "rejected": [{"role": "assistant", "content": negative.text}],
                        "self_samples": [sample.text for sample in samples],
                        "prompt_id": chat.id,
                        "rejected_id": negative.id,
                        "sample_ids": [sample.id for sample in samples],
                        "sampler": _writer(samples[0]),
                    }
                )
    return _table(Negative, made), _told(skipped)


def infalign(
    chats: pl.DataFrame, answers: pl.DataFrame, scores: pl.DataFrame, *, policy: str, least: int = 2
) -> tuple[pl.DataFrame, Skipped]:
    """Each prompt with the rewarded rollouts of `policy`, at least `least` of them. `scores` are one judge's.

    The calibrated reward is the share of the prompt's rollouts below, ties counting half; with N rollouts it moves in steps of
    1/N. Rewards stay raw beside it, so that any transformation can be made of them later.
    """
    value = dict(ratings(scores).iter_rows())
    judge = dict(conform(Score, scores).select("about", "judge").iter_rows())
    made, skipped = [], Counter[str]()
    for chat, said in _with_answers(chats, answers, skipped):
        own = sorted((a for a in said if a.model == policy and a.id in value), key=lambda a: (a.ordinal, a.id))
        if len(own) < least:
            skipped["too_few_rollouts"] += 1
            continue
        rewards = [value[a.id] for a in own]
        shares = pl.Series(rewards).rank("average") - 0.5
        made.append(
            {
                "prompt": _messages(chat),
                "rollouts": [
                    {"id": a.id, "text": a.text, "reward": reward, "calibrated": share / len(own)}
                    for a, reward, share in zip(own, rewards, shares, strict=True)
                ],
                "prompt_id": chat.id,
                "policy": _writer(own[0]),
                "reward_model": judge[own[0].id],
                "informative": min(rewards) < max(rewards),
            }
        )
    return _table(Rollouts, made), _told(skipped)


def listwise(chats: pl.DataFrame, answers: pl.DataFrame, scores: pl.DataFrame) -> tuple[pl.DataFrame, Skipped]:
    """Each prompt with its scored answers, best first; a prompt needs two that differ. `scores` are one judge's."""
    value = dict(ratings(scores).iter_rows())
    made, skipped = [], Counter[str]()
    for chat, said in _with_answers(chats, answers, skipped):
        ranked = sorted((a for a in said if a.id in value and a.text.strip()), key=lambda a: (-value[a.id], a.id))
        if len({value[a.id] for a in ranked}) < 2:
            skipped["nothing_to_rank"] += 1
            continue
        made.append(
            {
                "prompt": _messages(chat),
                "completions": [a.text for a in ranked],
                "scores": [value[a.id] for a in ranked],
                "prompt_id": chat.id,
                "answer_ids": [a.id for a in ranked],
            }
        )
    return _table(Ranking, made), _told(skipped)


def _with_answers(chats: pl.DataFrame, answers: pl.DataFrame, skipped: Counter[str]) -> Iterator[tuple[Chat, list[Answer]]]:
    """Each prompt that ends in a user turn, with its answers; answers to no prompt of the table are counted."""
    groups: dict[str, list[Answer]] = {}
    for answer in rows(Answer, answers):
        groups.setdefault(answer.prompt, []).append(answer)
    for chat in rows(Chat, chats):
        said = groups.pop(chat.id, [])
        if chat.turns and chat.turns[-1].role == "user":
            yield chat, said
        else:
            skipped["prompt_without_user_turn"] += 1
    skipped["unknown_prompt"] += sum(map(len, groups.values()))


def _messages(chat: Chat) -> list[dict[str, str]]:
    return [{"role": turn.role, "content": turn.content} for turn in chat.turns]


def _writer(answer: Answer) -> dict[str, str | int | float | None]:
    drawn = answer.sampling
    facts = (answer.model, answer.revision, answer.method, drawn.temperature, drawn.top_p, drawn.max_tokens, drawn.seed)
    return dict(zip(schema(Writer), (*facts, answer.tokens_out), strict=True))


def _table(row: type, made: list[dict]) -> pl.DataFrame:
    return conform(row, pl.DataFrame(made, schema=schema(row), orient="row"))


def _told(skipped: Counter[str]) -> Skipped:
    return {reason: count for reason, count in skipped.items() if count}
