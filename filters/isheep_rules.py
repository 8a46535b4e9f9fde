"""I-SHEEP's heuristic rules by name: about an instruction before it is answered, and about the answer before it is graded.

Liang et al., arXiv:2408.08072, section 3; the lists are the repository's (84187d4). The first rule that a row breaks is its
reason, so a stage's manifest counts them.

Executed as published, several rules drop what is right: an option marker is found in "i.e.", "U.S.A." and "Vitamin C.", `none` in
"Nonetheless", a placeholder in `<b>` and in `x < 3 and y > 2`, a question before the answer that follows it. Here words have
boundaries; options are only found where A and B both stand after white space; a placeholder begins with a letter next to its bracket
and is no HTML tag; `none` must be the whole input; and an answer is a question if its *last* line is one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import reduce
from operator import and_
from typing import Literal, get_args

import polars as pl

from .rules import rule

InstructionRule = Literal["length", "beyond_text", "opening", "no_input", "nested", "link"]
AnswerRule = Literal[
    "empty", "role_line", "answer_choices", "no_input_in_answer", "can_you", "do_you", "asks", "options", "chinese",
    "no_input_asked", "placeholder", "none", "input_repeated",
]  # fmt: skip
INSTRUCTION_RULES: tuple[InstructionRule, ...] = get_args(InstructionRule)
ANSWER_RULES: tuple[AnswerRule, ...] = get_args(AnswerRule)

_BEYOND_TEXT = r"(?i)\b(?:images?|graphs?|pictures?|files?|maps?|draw|plot|go to|video|audio|music|flowchart|diagram)\b"
_NO_INPUT = r"(?i)\bno ?input\b"
_ROLE_LINE = r"(?i)\n[ \t]*(?:assistant|system|human|question|output|user)[ \t]*(?::|\n)"
_HTML = r"(?i)</?(?:a|b|i|u|p|br|hr|em|h[1-6]|li|ol|ul|div|span|strong|code|pre|table|t[dhr]|body|head|html|title)\b[^<>]*>"
_PLACEHOLDER = r"<\p{L}[\p{L}\p{N} _,.'’/-]{0,19}>"

Maker = Callable[[pl.Expr, pl.Expr, pl.Expr], pl.Expr]  # instruction, input, answer -> what is broken


def instruction_rules(names: Iterable[InstructionRule], instruction: pl.Expr, given: pl.Expr) -> list[pl.Expr]:
    """The named rules about an instruction and its input (empty where there is none), in the order of their names' list."""
    wanted = set(names)
    return [_rule(name, instruction, given, pl.lit("")) for name in INSTRUCTION_RULES if name in wanted]


def answer_rules(names: Iterable[AnswerRule], instruction: pl.Expr, given: pl.Expr, answer: pl.Expr) -> list[pl.Expr]:
    """The named rules about an answered instruction, in the order of their names' list."""
    wanted = set(names)
    return [_rule(name, instruction, given, answer) for name in ANSWER_RULES if name in wanted]


def _rule(name: InstructionRule | AnswerRule, instruction: pl.Expr, given: pl.Expr, answer: pl.Expr) -> pl.Expr:
    return rule(name, _BROKEN[name](instruction, given, answer))


def _words(text: pl.Expr) -> pl.Expr:
    return text.str.count_matches(r"\S+")


def _has_placeholder(text: pl.Expr) -> pl.Expr:
    return text.str.replace_all(_HTML, "").str.contains(_PLACEHOLDER)


def _options(answer: pl.Expr) -> pl.Expr:
    """Both an A and a B as list markers: `A.` or `(A)`, after white space and before it."""
    marked = (rf"(?i)(?:^|\s)(?:{letter}\.|\({letter}\))\s+\S" for letter in "ab")
    return reduce(and_, (answer.str.contains(pattern) for pattern in marked))


_BROKEN: dict[InstructionRule | AnswerRule, Maker] = {
    "length": lambda i, g, a: ~_words(i).is_between(4, 150),
    "beyond_text": lambda i, g, a: i.str.contains(_BEYOND_TEXT) | g.str.contains(_BEYOND_TEXT),
    "opening": lambda i, g, a: ~i.str.contains(r"^[ -~]") | i.str.contains(r"^[!-/:-@\[-`{-~]"),
    "no_input": lambda i, g, a: g.str.contains(_NO_INPUT) | i.str.contains(r"(?i)\bnoinput\b"),
    "nested": lambda i, g, a: (i + "\n" + g).str.contains(r"\b(?:Instruction|Input):") | g.str.contains(r"\bOutput:"),
    "link": lambda i, g, a: (i + "\n" + g).str.contains(r"(?i)\bhttps?:"),
    "empty": lambda i, g, a: a.str.strip_chars() == "",
    "role_line": lambda i, g, a: (a + "\n").str.contains(_ROLE_LINE),
    "answer_choices": lambda i, g, a: a.str.contains(r"Answer Choices:"),
    "no_input_in_answer": lambda i, g, a: a.str.contains(_NO_INPUT),
    "can_you": lambda i, g, a: a.str.contains(r"(?im)^[ \t]*can you\b"),
    "do_you": lambda i, g, a: a.str.contains(r"(?i)\bdo you\b"),
    "asks": lambda i, g, a: a.str.strip_chars().str.contains(r"(?:^|\n)[^\n]{0,100}[?？]$"),
    "options": lambda i, g, a: _options(a),
    "chinese": lambda i, g, a: a.str.contains(r"\p{Han}"),
    "no_input_asked": lambda i, g, a: i.str.contains(_NO_INPUT) | g.str.contains(_NO_INPUT),
    "placeholder": lambda i, g, a: _has_placeholder(i) | _has_placeholder(g),
    "none": lambda i, g, a: g.str.contains(r"(?i)^\W*(?:none|n/a)\W*$"),
    "input_repeated": lambda i, g, a: (g.str.strip_chars() != "") & i.str.contains(g.str.strip_chars(), literal=True),
}
