"""Words and sentences: translation to the old language, classification, rewriting."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from ..entities import ADJECTIVES, GOODS, GROUPS, LANGUAGE, NOUNS, TOWNS, VERBS
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


_REQUESTS = {
    "give me {thing}": ("May I please have {thing}?", "I would like to receive {thing}."),
    "send me {thing}": ("Could you please send me {thing}?", "I kindly ask you to send {thing}."),
    "bring me {thing}": ("Could you please bring me {thing}?", "I kindly ask you to bring {thing}."),
    "show me {thing}": ("Could you please show me {thing}?", "I would be glad to see {thing}."),
    "sell me {thing}": ("Could you please sell me {thing}?", "I would like to buy {thing}."),
}
_THINGS = tuple(f"{count} {goods}" for count in ("two", "three", "five", "ten") for goods in GOODS)
_CONTRACTIONS = {"it's": "it is", "don't": "do not", "can't": "cannot", "I'm": "I am", "we're": "we are", "won't": "will not"}
_CASUAL = ("{c} late", "{c} cold in {town}", "{c} ready for the market", "{c} far from {town}", "{c} easy to find")
_FITS = {"it's": (0, 1, 3, 4), "I'm": (0, 2, 3, 4), "we're": (0, 2, 3, 4)}
_FILLERS = ("really", "very", "quite", "actually", "just")


def _polite(slots: Slots) -> Solution | None:
    given = slots["request"].strip(' ".!').lower()
    for blunt, (polite, formal) in _REQUESTS.items():
        start = blunt.split("{")[0]
        if given.startswith(start) and given[len(start) :] in _THINGS:
            thing = given[len(start) :]
            key, other = polite.replace("{thing}", thing), formal.replace("{thing}", thing)

            def holds(reply: str, thing: str = thing) -> bool:
                low = reply.lower()
                courteous = any(word in low for word in ("please", "would like", "kindly", "glad", "may i"))
                return thing in low and courteous and not low.strip(' "').startswith(("give", "send", "bring", "show", "sell"))

            wrong = (
                given.capitalize() + ".",
                given.capitalize() + " now!",
                key.replace(thing, "two maps"),
                key.replace(thing, "a chair"),
            )
            return Solution(key, ("{key}", other), holds, 2, wrong, free=True)
    return None


def _formal(slots: Slots) -> Solution | None:
    given = slots["casual"].strip(' ".')
    for short, long in _CONTRACTIONS.items():
        if given.lower().startswith(short.lower() + " "):
            rest = given[len(short) :]
            key = (long + rest)[0].upper() + (long + rest)[1:] + "."
            wrong = (
                given[0].upper() + given[1:] + ".",
                long.capitalize() + ".",
                key.replace(rest, " fine"),
                "Not" + rest + ".",
            )
            return Solution(key, ("{key}",), exactly(key), 2, tuple(one for one in wrong if one != key), free=True)
    return None


def _draw_casual(rng: Random) -> Slots:
    short = rng.choice(list(_FITS))
    shape = _CASUAL[rng.choice(_FITS[short])]
    return {"casual": shape.replace("{c}", short).replace("{town}", rng.choice(list(TOWNS)))}


def _shorter(slots: Slots) -> Solution | None:
    words = slots["long"].strip(' ".').split()
    kept = [word for word in words if word.lower() not in _FILLERS]
    if not 3 <= len(kept) <= 12 or len(kept) == len(words):
        return None
    key = " ".join(kept) + "."
    wrong = (" ".join(words) + ".", " ".join(kept[:-1]) + ".", " ".join(kept[:2]) + ".")
    return Solution(key, ("{key}",), exactly(key), 2 if len(words) - len(kept) == 1 else 3, wrong, free=True)


def _draw_long(rng: Random) -> Slots:
    one, two = rng.sample(_FILLERS, 2)
    adjective = rng.choice(list(ADJECTIVES))
    return {
        "long": rng.choice(
            (
                f"The {rng.choice(_SHOPS)} in {rng.choice(list(TOWNS))} is {one} {adjective}.",
                f"My {rng.choice(list(NOUNS))} is {one} {two} {adjective}.",
                f"The {rng.choice(list(NOUNS))} is {one} {adjective} and {two} {rng.choice(list(ADJECTIVES))}.",
            )
        )
    }


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
        "rewriting": ("text editing", "Editing"),
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
    _kind(
        "rewriting",
        "polite",
        "make a request polite",
        ("tone",),
        (
            "Make this polite: {request}.",
            'Say this more kindly: "{request}."',
            "Rewrite as a polite request: {request}.",
        ),
        lambda rng: {"request": rng.choice(list(_REQUESTS)).replace("{thing}", rng.choice(_THINGS)).capitalize()},
        _polite,
    ),
    _kind(
        "rewriting",
        "formal",
        "remove contractions",
        ("tone",),
        (
            "Write this without contractions: {casual}.",
            'Make this sentence formal: "{casual}."',
        ),
        _draw_casual,
        _formal,
    ),
    _kind(
        "rewriting",
        "shorter",
        "shorten a sentence",
        ("concision",),
        (
            "Remove the filler words: {long}",
            "Make this sentence shorter: {long}",
            "Tighten this up: {long}",
        ),
        _draw_long,
        _shorter,
    ),
)
