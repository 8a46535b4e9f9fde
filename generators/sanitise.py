"""Magpie's sanitiser: an ordered list of named rules that turn what a model wrote in a user's turn into an instruction.

Xu et al., arXiv:2406.08464; the rules are not in the paper but in the authors' `gen_ins.py`, for Llama-3 and Gemma-2. A rule is a
function from text to text, and has fired if it changed something. Departures, each because the original loses good rows:

- Markers that end in a colon (`Answer:`) needed two colons in the original and never fired; here one is enough.
- The original keeps the text up to the *first* question mark, so "I have a dict. Is it ordered? And how do I sort it?"
  loses its real request. Here the first paragraph is kept, up to the first sentence after a question that looks like an answer.
- A first line that ends in a colon announces what follows; the original often kept the announcement alone. Here what is
  announced is kept, up to a markdown header, and code in fences, lists and quotations are never cut off.
- `<b>`: the original computes a cut and throws it away. Here the tags go.
- The original answers whatever is left, be it nothing. Fewer than three words are no instruction here (`too_short`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

_WORDS = (
    "task|(?:original )?prompt|question|(?:the )?problem|scenario|situation|context|challenge|query|request"
    "|instructions?|descriptions?"
)
_NUMBER = re.compile(r"\A\s*(?:\d{1,3}[.)]|[A-Za-z]{1,3}\))\s+")
_LABEL = re.compile(
    rf"\A\s*(?:#{{1,6}}\s*)?(?:\*\*\s*)?(?:(?:{_WORDS})(?:\s+\d+)?|part\s+\d+|q\d*)\s*(?:\*\*\s*:|:\s*\*\*|:|\*\*(?=\s*\n))\s*"
    r"|\A\s*(?:question\s+\d+|q\d+)\.\s+",
    re.IGNORECASE,
)
_SPEAKER = re.compile(r"(?im)^\W{0,4}(?:assistant|ai|chatbot|model|response)\s*(?:\*\*)?\s*(?::|\n|\Z)")
_MARKER = re.compile(
    r"(?im)(?:^|(?<=[.?!]\s))\W{0,4}(?:"
    r"(?:(?:final |correct |sample |expected )?(?:answer|solution|explanation|response|output)|here(?:['’]s| is) (?:the|my|an?) \w+)"
    r"\s*(?:\*\*)?\s*:"
    r"|the (?:correct |final )?(?:answer|solution) is\b|correct answer\b|here are (?:some|a few)\b)"
)
_STEP_1 = re.compile(r"(?im)^\s*#{1,4}\s*step 1\b")
_HEADER = re.compile(r"(?m)^\s*#{1,6}\s")
_ANSWERING = re.compile(
    r"(?i)\A\W{0,4}(?:(?:yes|no|sure|certainly|of course|absolutely)\s*[,.!:;—]|great (?:question|choice)|good question"
    r"|thank you for|here(?:['’]s| is| are)\b|i(?:['’]d| would) be (?:happy|glad) to|i(?:['’]m| am) (?:happy|glad|sorry)\b"
    r"|as an ai\b|let(?:['’]s|(?: us| me)(?! know))\b|(?:the )?(?:final |correct )?(?:answer|solution)\s*(?:is\b|:)|step 1\b)"
)
_SENTENCE_END = re.compile(r"(?<=[?？])\s+")
_MATERIAL = re.compile(r"\A\s*(?:```|~~~|>|\||[-*•]\s|\d{1,3}[.)]\s|\t| {4})")


def number(text: str) -> str:
    """`12.` or `abc)` before the first word."""
    return _NUMBER.sub("", text, count=1)


def label(text: str) -> str:
    """`Task:`, `**Question**`, `## Problem:`, `Q3.` before the first word."""
    rest = _LABEL.sub("", text, count=1)
    return rest if rest.strip() else text


def bold(text: str) -> str:
    """A question in asterisks: without them."""
    return text.replace("*", "") if text.startswith("*") and re.search(r"[?？]", text) else text


def quoted(text: str) -> str:
    """An instruction in quotation marks: what is between them."""
    found = re.match(r"[\"“]([^\"”]+)[\"”]?", text)
    return found.group(1) if found and text.startswith(('"', "“")) and not _continues(text[found.end() :]) else text


def html_bold(text: str) -> str:
    """`<b>` and `</b>` at the start of a text, and the asterisks beside them."""
    return re.sub(r"</?b>|\*", "", text) if text.lower().startswith("<b>") else text


def speaker(text: str) -> str:
    """A line that opens the assistant's turn: what stands before it."""
    return _before(_SPEAKER, text)


def answer_marker(text: str) -> str:
    """`Answer:`, `The answer is`, `Here are some`: what stands before it."""
    return _before(_MARKER, text)


def step_1(text: str) -> str:
    """`## Step 1`, which opens Llama's answers: what stands before it."""
    return _before(_STEP_1, text)


def announced(text: str) -> str:
    """A first line that ends in a colon, and a markdown header somewhere below: what stands before the header."""
    first, _, rest = text.partition("\n")
    header = _HEADER.search(rest) if first.rstrip().endswith((":", "：")) else None
    return f"{first}\n{rest[: header.start()]}" if header and rest[: header.start()].strip() else text


def first_paragraph(text: str) -> str:
    """The first paragraph and the material that belongs to it, up to where an answer begins."""
    kept: list[str] = []
    fenced = False
    for paragraph in re.split(r"(?<=\n)[ \t]*\n+", text):
        announces = bool(kept) and kept[-1].rstrip().endswith((":", "："))
        if kept and not (fenced or announces or _MATERIAL.match(paragraph)):
            break
        fenced ^= paragraph.count("```") % 2 == 1
        kept.append(paragraph)
    return "\n".join(_unanswered(part) for part in kept)


RULES: tuple[Callable[[str], str], ...] = (
    number, label, bold, quoted, html_bold, speaker, answer_marker, step_1, announced, first_paragraph, label,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sanitised:
    """An instruction, and the names of the rules that changed the text, in order."""

    text: str
    fired: tuple[str, ...]


def sanitise(text: str) -> Sanitised:
    """Apply the rules, one after the other."""
    text, fired = text.strip(), []
    for rule in RULES:
        after = rule(text).strip()
        if after != text:
            fired.append(rule.__name__)
        text = after
    return Sanitised(text, tuple(fired))


def counts(fired: Iterable[str]) -> dict[str, int]:
    """How often each rule has fired, every rule named, from the texts of `sanitised_by` notes."""
    seen = Counter(name for names in fired for name in names.split())
    return {rule.__name__: seen[rule.__name__] for rule in RULES}


def _before(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return text[: found.start()] if found else text


def _unanswered(paragraph: str) -> str:
    """The paragraph up to the first sentence after a question that looks like an answer."""
    if paragraph.lstrip().startswith("```"):
        return paragraph
    sentences = _SENTENCE_END.split(paragraph)
    end = next((i for i, sentence in enumerate(sentences) if i and _ANSWERING.match(sentence)), len(sentences))
    return paragraph if end == len(sentences) else " ".join(sentences[:end])


def _continues(rest: str) -> bool:
    """Whether the sentence goes on after the quotation: `"To be or not to be": who says this?`"""
    return bool(re.match(r"\s*(?:[^\s\n]*[:,;]|\w)", rest)) and not rest.startswith("\n")
