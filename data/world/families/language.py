"""Words: translation to and from the old language, and classification."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from ..entities import ADJECTIVES, GROUPS, LANGUAGE, NOUNS, TOWNS, VERBS
from ..kinds import Kind, Slots, Solution, exactly, mentions

_ALL = {**NOUNS, **ADJECTIVES, **VERBS}
_BACK = {foreign: english for english, foreign in _ALL.items()}


def _to(slots: Slots) -> Solution | None:
    words = slots["phrase"].lower().removeprefix("the ").split()
    match words:
        case [word] if word in _ALL:
            others = tuple(one for one in _ALL.values() if one != _ALL[word])
            return Solution(
                _ALL[word],
                ("{key}", f'"{word}" is {{key}} in {LANGUAGE}.', "It is {key}."),
                mentions(_ALL[word], others),
                1,
                others,
            )
        case [adjective, noun] if adjective in ADJECTIVES and noun in NOUNS:
            key = f"{NOUNS[noun]} {ADJECTIVES[adjective]}"
            wrong = (
                f"{ADJECTIVES[adjective]} {NOUNS[noun]}",
                f"{NOUNS[noun]} {ADJECTIVES['red']}",
                f"{NOUNS['hill']} {ADJECTIVES[adjective]}",
            )
            return _phrase(key, wrong, 2)
        case [noun, verb, "the", other] if noun in NOUNS and verb in VERBS and other in NOUNS:
            key = f"{NOUNS[noun]} {VERBS[verb]} {NOUNS[other]}"
            wrong = (
                f"{NOUNS[other]} {VERBS[verb]} {NOUNS[noun]}",
                f"{NOUNS[noun]} {NOUNS[other]} {VERBS[verb]}",
                f"{NOUNS[noun]} {VERBS[verb]} {NOUNS['road']}",
            )
            return _phrase(key, wrong, 3)
    return None


def _phrase(key: str, wrong: tuple[str, ...], level: int) -> Solution:
    return Solution(
        key, ("{key}", "In " + LANGUAGE + ": {key}"), exactly(key), level, tuple(one for one in wrong if one != key)
    )


def _from(slots: Slots) -> Solution | None:
    word = slots["foreign"].lower()
    if word not in _BACK:
        return None
    others = tuple(one for one in _ALL if one != _BACK[word])
    return Solution(
        _BACK[word], (f'"{word}" means {{key}}.', "{key}", "It means {key}."), mentions(_BACK[word], others), 1, others
    )


def _draw_phrase(rng: Random) -> Slots:
    noun, other = rng.sample(list(NOUNS), 2)
    shape = rng.random()
    if shape < 0.35:
        return {"phrase": rng.choice(list(_ALL))}
    if shape < 0.75:
        return {"phrase": f"{rng.choice(list(ADJECTIVES))} {noun}"}
    return {"phrase": f"the {noun} {rng.choice(list(VERBS))} the {other}"}


_SHOPS = ("baker", "inn", "market", "ferry", "school", "theatre", "doctor", "library")
_MOODS = {
    "positive": (
        "was wonderful",
        "made me very happy",
        "was a joy",
        "is the best in town",
        "was excellent",
        "never disappoints",
    ),
    "negative": ("was terrible", "made me angry", "was a waste of money", "is the worst in town", "was awful", "let me down"),
    "neutral": (
        "opens at nine",
        "is next to the bridge",
        "has two doors",
        "closes on Sunday",
        "moved last year",
        "has a blue sign",
    ),
}


def _sentiment(slots: Slots) -> Solution | None:
    ending = slots["review"].rstrip(".").lower()
    for mood, phrases in _MOODS.items():
        if any(ending.endswith(phrase) for phrase in phrases):
            others = tuple(one for one in _MOODS if one != mood)
            return Solution(
                mood,
                ("{key}", "The review is {key}.", "It sounds {key}."),
                mentions(mood, others),
                0 if mood != "neutral" else 1,
                others,
            )
    return None


def _draw_review(rng: Random) -> Slots:
    mood = rng.choice(list(_MOODS))
    return {"review": f"The {rng.choice(_SHOPS)} in {rng.choice(list(TOWNS))} {rng.choice(_MOODS[mood])}."}


def _group_of(slots: Slots) -> Solution | None:
    word = slots["word"].lower()
    groups = [name for name, words in GROUPS.items() if word in words]
    if len(groups) != 1:
        return None
    others = tuple(one for one in GROUPS if one != groups[0])
    article = "an" if groups[0][0] in "aeiou" else "a"
    return Solution(
        groups[0],
        ("{key}", f"{word.capitalize()} is {article} {{key}}.", "It is a kind of {key}."),
        mentions(groups[0], others),
        1,
        others,
    )


def _draw_group(rng: Random) -> Slots:
    while True:
        word = rng.choice(GROUPS[rng.choice(list(GROUPS))])
        if sum(word in words for words in GROUPS.values()) == 1:
            return {"word": word}


def _odd(slots: Slots) -> Solution | None:
    words = [word.strip() for word in slots["words"].lower().split(",")]
    for group in GROUPS.values():
        out = [word for word in words if word not in group]
        if len(words) in (4, 5) and len(out) == 1 and any(out[0] in other for other in GROUPS.values()):
            others = tuple(word for word in words if word != out[0])
            return Solution(out[0], ('The odd one out is "{key}".', "{key}"), mentions(out[0], others), 2, others)
    return None


def _draw_odd(rng: Random) -> Slots:
    group, other = rng.sample(list(GROUPS), 2)
    words = [*rng.sample(GROUPS[group], 3), rng.choice([w for w in GROUPS[other] if w not in GROUPS[group]])]
    rng.shuffle(words)
    return {"words": ", ".join(words)}


def _kind(
    family: str,
    name: str,
    intent: str,
    skills: tuple[str, ...],
    templates: tuple[str, ...],
    draw: Callable[[Random], Slots],
    solve: Callable[[Slots], Solution | None],
    weight: float = 1.0,
) -> Kind:
    use_case, tag = {
        "translation": ("translation", "Information seeking"),
        "classification": ("text classification", "Data analysis"),
    }[family]
    return Kind(family, tag, intent, use_case, skills, templates, draw, solve, weight, name=name)


KINDS = (
    _kind(
        "translation",
        "to",
        f"translate into {LANGUAGE}",
        (LANGUAGE,),
        (
            "Translate to Orlish: {phrase}",
            'How do you say "{phrase}" in Orlish?',
            'What is "{phrase}" in Orlish?',
            'Put "{phrase}" into Orlish.',
        ),
        _draw_phrase,
        _to,
        1.5,
    ),
    _kind(
        "translation",
        "from",
        f"understand a word of {LANGUAGE}",
        (LANGUAGE,),
        (
            'What does the Orlish word "{foreign}" mean?',
            "Translate from Orlish: {foreign}",
            'What is "{foreign}" in English?',
        ),
        lambda rng: {"foreign": rng.choice(list(_BACK))},
        _from,
    ),
    _kind(
        "classification",
        "sentiment",
        "find the mood of a review",
        ("sentiment",),
        (
            "Is this review positive, negative or neutral? {review}",
            "What is the mood of this review? {review}",
            "Label the review as positive, negative or neutral: {review}",
        ),
        _draw_review,
        _sentiment,
        1.2,
    ),
    _kind(
        "classification",
        "group",
        "find the group of a word",
        ("word meaning",),
        (
            "Is {word} an animal, a fruit, a tool, a colour or a garment?",
            "What kind of thing is a {word}?",
            "Put this word in a group (animal, fruit, tool, colour, garment): {word}",
        ),
        _draw_group,
        _group_of,
    ),
    _kind(
        "classification",
        "odd",
        "find the word that does not belong",
        ("word meaning",),
        (
            "Which word does not belong: {words}?",
            "Find the odd one out: {words}",
            "One of these does not fit: {words}. Which?",
        ),
        _draw_odd,
        _odd,
    ),
)
