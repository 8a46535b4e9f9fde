"""Rules a row breaks on its own, whatever the others are.

A rule is an expression: null where the row is fine, else the rule's name. So rules join with `coalesce`, run in
parallel, and a new threshold costs no second pass of any model. Every rule takes the expression it judges, because
one table's text is another table's message list: `too_short(pl.col("prompt"), chars=12)`.

Sources: Magpie's released filters (arXiv:2406.08464, section 2.2 and the dataset cards) for `ends_with_colon`,
`too_many_lines` and `below`; Gopher's repetition and symbol rules (arXiv:2112.11446, table A1) for `repetition` and
`symbol_ratio`. Deviation from Gopher: repetition counts n-grams, not the characters they cover, and falls back to
characters where a text has next to no blanks (Chinese, Japanese, Thai, or a model stuck on "aaaa").
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_

import polars as pl

TEMPLATE_MARKER = (
    r"<\|[^|<>\n]{1,40}\|>"  # ChatML, Llama-3, Phi, Command-R
    r"|<｜[^｜<>\n]{1,40}｜>"  # DeepSeek
    r"|</?s>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|<(?:bos|eos|unk|pad)>|\[gMASK\]|<\|?turn\|?>"
)
ROLE_LINE = (
    r"(?mi)^[#*\s]*(?:user|human|assistant|system|instruction|response)[*\s]*:"  # `### Response:`, `**User:**`
    r"|^(?-i:assistant|user|model)[ \t]*\r?$"  # a header of which the decoder hid the special tokens
)
REFUSAL = (
    r"(?i)\A\W*"
    r"(?:(?:unfortunately|sorry|i(?:['’]m| am) (?:very |so |truly )?sorry|i apologi[sz]e|my apologies)\b[\s\S]{0,80}?)?"
    r"(?:\bas an? (?:ai|artificial|(?:large )?language)\b"
    r"|\bi(?:['’]m| am) (?:just |only )?an? (?:ai|artificial|(?:large )?language)\b"
    r"|\bi(?:['’]m| am) (?:not able|unable|not allowed|not comfortable|not programmed) (?:to|with)\b"
    r"|\bi (?:must|have to) (?:decline|refuse)\b|\bi do(?: not|n['’]t) feel comfortable\b"
    r"|\bi (?:can ?not|can['’]?t|could ?n['’]?t|wo ?n['’]?t|will not) (?:\w+ ){0,2}?"
    r"(?:help|assist|provide|fulfil|comply|create|write|generate|answer|discuss|do|give|offer|support|engage|share"
    r"|recommend|continue|produce|complete|access|browse|participate|respond|condone|satisfy|accept|process)\w*\b)"
)
SCRIPTS = (
    r"\p{Latin}", r"\p{Cyrillic}", r"\p{Greek}", r"\p{Arabic}", r"\p{Hebrew}", r"\p{Devanagari}", r"\p{Bengali}",
    r"\p{Tamil}", r"\p{Telugu}", r"\p{Thai}", r"\p{Hangul}", r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}]",
)  # fmt: skip


def rule(name: str, broken: pl.Expr) -> pl.Expr:
    """The rule's name where it is broken, else null. A row that cannot be judged breaks the rule."""
    return pl.when(broken.fill_null(True)).then(pl.lit(name))


def empty(text: pl.Expr) -> pl.Expr:
    return rule("empty", text.str.strip_chars().str.len_bytes() == 0)


def too_short(text: pl.Expr, *, chars: int) -> pl.Expr:
    """Fewer than `chars` characters, blanks at the ends not counted."""
    return rule("too_short", text.str.strip_chars().str.len_chars() < chars)


def too_long(text: pl.Expr, *, chars: int) -> pl.Expr:
    return rule("too_long", text.str.len_chars() > chars)


def too_few_words(text: pl.Expr, *, words: int) -> pl.Expr:
    return rule("too_few_words", text.str.count_matches(r"\S+") < words)


def too_many_lines(text: pl.Expr, *, newlines: int) -> pl.Expr:
    """More than `newlines` line ends. Magpie's cards allow 4 in an instruction that is not about code."""
    return rule("too_many_lines", text.str.count_matches("\n") > newlines)


def cut_off(finish: pl.Expr | None = None) -> pl.Expr:
    """Whatever did not end by itself: ran into the token limit, failed, or does not say."""
    return rule("cut_off", (pl.col("finish") if finish is None else finish) != "stop")


def ends_with_colon(text: pl.Expr) -> pl.Expr:
    """The instruction announces something that never came."""
    return rule("ends_with_colon", text.str.strip_chars_end().str.contains(r"[:：]\z"))


def leaked_template(text: pl.Expr) -> pl.Expr:
    """A special token as text: the engine missed an end of turn."""
    return rule("leaked_template", text.str.contains(TEMPLATE_MARKER))


def role_leak(text: pl.Expr) -> pl.Expr:
    """A line that opens the other speaker's turn, so one turn holds two. A script of a play breaks it too."""
    return rule("role_leak", text.str.contains(ROLE_LINE))


def refusal(text: pl.Expr) -> pl.Expr:
    """An answer that opens by declining, or by saying what it is instead of answering."""
    return rule("refusal", text.str.contains(REFUSAL))


def repetition(text: pl.Expr, *, share: float = 0.3, length: int = 4, least: int = 20) -> pl.Expr:
    """More than `share` of the text's n-grams were there before; texts of under `least` n-grams are let be.

    n-grams are of `length` words, or of characters where words average over 15 of them.
    """
    lower = text.str.to_lowercase()
    words = lower.str.extract_all(r"\S+")
    unbroken = lower.str.len_chars() > 15 * words.list.len()
    pieces = pl.coalesce(pl.when(unbroken).then(lower).str.extract_all(r"\S"), words)
    code = pl.element().hash()  # n-grams as numbers: half the time of gluing strings
    grams = pieces.list.eval(pl.sum_horizontal(*(code.shift(-i) * 31**i for i in range(length)), ignore_nulls=False))
    grams = grams.list.drop_nulls()
    seen_before = 1 - grams.list.n_unique() / grams.list.len()
    return rule("repetition", (grams.list.len() >= least) & (seen_before > share))


def symbol_ratio(text: pl.Expr, *, share: float = 0.3) -> pl.Expr:
    """More than `share` of what is not blank is neither letter, mark nor digit."""
    symbols = text.str.count_matches(r"[^\p{L}\p{M}\p{N}\s]")
    return rule("symbol_ratio", symbols > share * text.str.count_matches(r"\S"))


def language_mix(text: pl.Expr, *, share: float = 0.2, least: int = 20) -> pl.Expr:
    """More than `share` of the letters, and at least `least`, belong to scripts other than the text's main one.

    Scripts, not languages: a model that slips from English into Chinese is found, into Spanish is not.
    Kana and Han count as one script, as Japanese needs both.
    """
    counts = [text.str.count_matches(script).cast(pl.Int64) for script in SCRIPTS]
    others = pl.sum_horizontal(counts) - pl.max_horizontal(counts)
    return rule("language_mix", text.is_null() | ((others >= least) & (others > share * pl.sum_horizontal(counts))))


def below(value: pl.Expr, *, least: float, name: str) -> pl.Expr:
    """A score under `least`; a score that is missing or not a number is under any."""
    return rule(name, ~(value.fill_nan(None) >= least))


def not_among(label: pl.Expr, *, allowed: Sequence[str], name: str) -> pl.Expr:
    return rule(name, ~label.is_in(list(allowed)))


def any_of(name: str, *rules: pl.Expr) -> pl.Expr:
    """One rule that is broken where any of several is: for counting them together."""
    return rule(name, reduce(or_, (one.is_not_null() for one in rules)))


def partition(frame: pl.DataFrame, *rules: pl.Expr) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows that break no rule; and those that do, with the first rule broken in `reason`."""
    if "reason" in frame.columns:
        raise ValueError("the frame has a column `reason` already: rename it, `partition` writes the broken rule there")
    first_broken = pl.coalesce(*rules) if rules else pl.lit(None, dtype=pl.String)
    judged = frame.with_columns(reason=first_broken)
    fine = pl.col("reason").is_null()
    return judged.filter(fine).drop("reason"), judged.filter(~fine)


def funnel(dropped: pl.DataFrame) -> pl.DataFrame:
    """How many rows each rule took, the greediest first."""
    return dropped.group_by("reason").agg(rows=pl.len()).sort("rows", "reason", descending=[True, False])
