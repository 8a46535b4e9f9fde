"""Edits on the letters of known words, and on the order of words."""

from __future__ import annotations

from random import Random

from ..entities import WORDS
from ..kinds import Draw, Kind, Slots, Solution, Solve, exactly, last_number, mentions, near_numbers, says_yes

_IRREGULAR = {"mouse": "mice", "child": "children", "fish": "fish", "sheep": "sheep", "knife": "knives", "wolf": "wolves"}


def plural(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "x", "ch", "sh")) else "s")


def draw_word(rng: Random) -> Slots:
    return {"word": rng.choice(WORDS)}


def known_word(slots: Slots) -> str | None:
    word = slots["word"].lower()
    return word if word in WORDS else None


def _edited(key: str, level: int, wrong: tuple[str, ...], *say: str, strict: bool = True) -> Solution:
    holds = exactly(key) if strict else mentions(key)
    return Solution(
        key,
        say or ("{key}", "Here it is: {key}"),
        holds,
        level,
        tuple(dict.fromkeys(one for one in wrong if one and one != key)),
    )


def _letter(slots: Slots, last: bool) -> Solution | None:
    if (word := known_word(slots)) is None:
        return None
    key = word[-1] if last else word[0]
    which = "last" if last else "first"
    return _edited(
        key,
        1 if last else 0,
        (word[0] if last else word[-1], word[-2] if last else word[1], "a", "s"),
        f"The {which} letter is: {{key}}",
        "It is: {key}",
    )


def _spell(slots: Slots) -> Solution | None:
    if (word := known_word(slots)) is None:
        return None
    key = "-".join(word)
    wrong = (key[:-2], "-".join(word[:1] + word[2:]), word, "-".join(word + word[-1]))
    return _edited(key, 1 if len(word) < 5 else 2, wrong)


def _upper(slots: Slots) -> Solution | None:
    if (word := known_word(slots)) is None:
        return None
    return _edited(word.upper(), 1, (word, word.capitalize(), word.upper()[:-1]))


def _reverse(slots: Slots) -> Solution | None:
    if (word := known_word(slots)) is None:
        return None
    back = word[::-1]
    return _edited(back, 3 if len(word) < 5 else 4, (word, back[1:] + back[0], back[:-1], word[0] + back[1:]))


def _plural(slots: Slots) -> Solution | None:
    if (word := known_word(slots)) is None:
        return None
    level = 0 if plural(word) == word + "s" else 2
    wrong = tuple(one for one in (word, word + "es", word + "s", word + "en") if one != plural(word))
    return _edited(plural(word), level, wrong, "The plural is: {key}", "{key}")


def _letters(slots: Slots) -> Solution | None:
    if (word := known_word(slots)) is None:
        return None
    value = len(word)
    return Solution(
        str(value),
        (f'The word "{word}" has {{key}} letters.', "It has {key} letters."),
        last_number(str(value)),
        2 if value < 6 else 3,
        near_numbers(value),
    )


def _has_letter(slots: Slots) -> Solution | None:
    word, letter = known_word(slots), slots["letter"].lower()
    if word is None or len(letter) != 1:
        return None
    key, other = ("Yes", "No") if letter in word else ("No", "Yes")
    return Solution(key, ("{key}.",), says_yes(letter in word), 2, (other,))


def _draw_has(rng: Random) -> Slots:
    word = rng.choice(WORDS)
    return {"word": word, "letter": rng.choice(word) if rng.random() < 0.5 else rng.choice("aeiorstn")}


def _draw_mixed_up(rng: Random) -> Slots:
    return {"words": " ".join(rng.sample(WORDS, rng.choice((2, 2, 3, 3))))}


def _backwards(slots: Slots) -> Solution | None:
    words = slots["words"].lower().split()
    if not 2 <= len(words) <= 6 or any(word not in WORDS for word in words):
        return None
    key = " ".join(words[::-1])
    wrong = (" ".join(words), " ".join(words[::-1][1:] + words[-1:]), " ".join(sorted(words)))
    return _edited(key, min(4, len(words)), wrong)


_EDIT = ("spelling",)


def _kind(
    name: str, intent: str, templates: tuple[str, ...], solve: Solve, weight: float = 1.0, draw: Draw = draw_word
) -> Kind:
    return Kind(
        "string edits",
        "Editing",
        intent,
        "text editing",
        _EDIT,
        templates,
        draw,
        solve,
        weight,
        name=name,
    )


KINDS = (
    _kind(
        "first letter",
        "find the first letter of a word",
        (
            'What is the first letter of "{word}"?',
            "Give me the first letter of {word}.",
            "With which letter does {word} begin?",
        ),
        lambda slots: _letter(slots, last=False),
        0.7,
    ),
    _kind(
        "last letter",
        "find the last letter of a word",
        (
            'What is the last letter of "{word}"?',
            "Give me the last letter of {word}.",
            "With which letter does {word} end?",
        ),
        lambda slots: _letter(slots, last=True),
        0.7,
    ),
    _kind(
        "spell",
        "spell a word",
        (
            'Spell "{word}" with hyphens between the letters.',
            "Write {word} letter by letter with hyphens.",
            "Spell out {word} with hyphens.",
        ),
        _spell,
    ),
    _kind(
        "upper",
        "write a word in capitals",
        (
            'Write "{word}" in capital letters.',
            "Make {word} uppercase.",
            "Put the word {word} in capitals.",
        ),
        _upper,
    ),
    _kind(
        "reverse",
        "reverse the letters of a word",
        (
            'Write "{word}" backwards.',
            "Reverse the letters of {word}.",
        ),
        _reverse,
        0.6,
    ),
    _kind(
        "plural",
        "form a plural",
        (
            'What is the plural of "{word}"?',
            "Give the plural of {word}.",
            "One {word}, two what?",
        ),
        _plural,
    ),
    _kind(
        "letters",
        "count the letters of a word",
        (
            'How many letters does "{word}" have?',
            "Count the letters in {word}.",
        ),
        _letters,
        0.7,
    ),
    _kind(
        "has letter",
        "look for a letter in a word",
        (
            'Does "{word}" contain the letter {letter}?',
            "Is there a letter {letter} in the word {word}?",
        ),
        _has_letter,
        0.6,
        _draw_has,
    ),
    _kind(
        "backwards",
        "reverse the order of words",
        (
            "Write these words in reverse order: {words}",
            "Say these words back to front: {words}",
        ),
        _backwards,
        0.8,
        _draw_mixed_up,
    ),
)
