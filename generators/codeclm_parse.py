"""Reading what CodecLM's prompts bring back: metadata, numbered lists, two scores in a line, and when two texts are one.

The authors published no code and no replies, so each reader takes every form seen in the paper's figures
(arXiv:2404.05875, figures 7 to 11) and the usual ways in which models miss it. What cannot be read is None or an empty
tuple; the step that asked decides whether to ask again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rapidfuzz.distance import Indel

MOST_SKILLS = 3
_WORD = re.compile(r"[^\W_]+")
# Figure 7 labels its first example "Use case:" and the other two "Task:".
_USE_CASE = re.compile(r"(?im)^[\s*#\-]*(?:use[ _-]?case|task)[\s*]*[:：][\s*]*(.+?)[\s*.]*$")
_SKILLS = re.compile(r"(?im)^[\s*#\-]*skills?[\s*]*[:：][\s*]*(.+?)[\s*]*$")
_ITEM = re.compile(r"(?m)^[ \t]*[*#]*[ \t]*(\d{1,3})[.):][*]*[ \t]+")
_OUT_OF_TEN = re.compile(r"(?i)\s*(?:/|out of)\s*10(?:\.0+)?\b")
_WHOSE = re.compile(r"(?i)\b(?:assistant|answer|response|reply|model|score)\s*#?\s*[12ab]?(?:'s score)?\s*(?=[:=\-])")
_NUMBER = re.compile(r"(?<![\d.])-?\d+(?:\.\d+)?(?![\d])")


@dataclass(frozen=True, slots=True)
class Encoded:
    """What an instruction is for, and what it takes to answer it."""

    use_case: str
    skills: tuple[str, ...]


def metadata(text: str) -> Encoded | None:
    """`Use case: ...` (or `Task: ...`) and `Skills: a, b`, lower-cased; at most three skills; None without both."""
    use_case, skills = _USE_CASE.search(text), _SKILLS.search(text)
    if use_case is None or skills is None:
        return None
    named = dict.fromkeys(tidy(skill) for skill in re.split(r"[,;]", skills.group(1)))
    found = Encoded(tidy(use_case.group(1)), tuple(skill for skill in named if skill)[:MOST_SKILLS])
    return found if found.use_case and found.skills else None


def tidy(name: str) -> str:
    """A use case or skill as it stands in the pool: lower case, single blanks, no marks at its ends."""
    return " ".join(name.lower().split()).strip("*\"'`.[]() ")


def numbered(text: str) -> tuple[str, ...]:
    """The items of a numbered list. A line without a number belongs to the item above it."""
    return tuple(item for _, item in _items(text))


def two_lists(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(rubrics, actions) from one reply in which each list starts again at 1; a single list is taken as actions."""
    items = _items(text)
    starts = [place for place, (number, _) in enumerate(items) if number == 1]
    second = starts[1] if len(starts) > 1 else 0
    return tuple(item for _, item in items[:second]), tuple(item for _, item in items[second:])


def two_scores(text: str) -> tuple[float, float] | None:
    """The first two numbers from 1 to 10: `8 7`, `8/10 7/10`, `Assistant 1: 8`. None if there are fewer."""
    bare = _WHOSE.sub(" ", _OUT_OF_TEN.sub(" ", text))
    scores = [number for number in map(float, _NUMBER.findall(bare)) if 1 <= number <= 10]
    return (scores[0], scores[1]) if len(scores) >= 2 else None


def similarity(one: str, other: str) -> float:
    """ROUGE-L (F1, on words): 2 LCS / (|a| + |b|), which is the normalised Indel similarity of the word lists."""
    return Indel.normalized_similarity(words(one), words(other))


def drifted(use_case: str, found: str) -> bool:
    """Whether two names of use cases have no word in common and are not even spelt alike."""
    ours, theirs = set(words(use_case)), set(words(found))
    return not ours & theirs and Indel.normalized_similarity(use_case, found) < 0.6


def words(text: str) -> list[str]:
    """Lower-case words and numbers; a text of symbols alone is its characters, so that no two of them are taken as one."""
    return _WORD.findall(text.lower()) or list(text.strip())


def _items(text: str) -> list[tuple[int, str]]:
    pieces = _ITEM.split(text)[1:]  # number, body, number, body...
    found = [(int(number), _body(body)) for number, body in zip(pieces[::2], pieces[1::2], strict=True)]
    return [(number, body) for number, body in found if body]


def _body(raw: str) -> str:
    # A blank line ends an item: what follows it is the next list's heading, or a farewell.
    lines = re.split(r"\n[ \t]*\n", raw.strip(), maxsplit=1)[0]
    lines = re.sub(r"(?im)^[\s*#]*(?:rubrics?|actions?|metadata)[\s*]*[:：][\s*]*$", "", lines)
    return " ".join(lines.split()).strip("* ")
