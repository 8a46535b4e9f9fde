"""Short lists: putting them in order, counting in them, comparing what is in them."""

from __future__ import annotations

from random import Random

from ..entities import GROUPS, WORDS
from ..kinds import Draw, Kind, Slots, Solution, Solve, last_number, lists, mentions, near_numbers, says_yes


def _join(items: list[str]) -> str:
    return ", ".join(items)


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",")]


def _listed(items: list[str], given: list[str], level: int) -> Solution:
    swapped = items[:]
    swapped[-1], swapped[-2] = swapped[-2], swapped[-1]
    first = items[:]
    first[0], first[1] = first[1], first[0]
    wrong = (_join(swapped), _join(first), _join(given), _join(items[::-1]), _join(items[:-1]))
    key = _join(items)
    return Solution(
        key,
        ("{key}", "Here they are: {key}"),
        lists(tuple(items)),
        level,
        tuple(dict.fromkeys(one for one in wrong if one != key)),
        tuple(items),
    )


def _draw_words(rng: Random) -> Slots:
    return {"words": _join(rng.sample(WORDS, rng.choice((3, 3, 3, 4, 5))))}


def _sort_words(slots: Slots) -> Solution | None:
    items = _items(slots["words"].lower())
    if not 2 <= len(items) <= 8 or len(set(items)) != len(items) or any(item not in WORDS for item in items):
        return None
    return _listed(sorted(items), items, {2: 1, 3: 1, 4: 2, 5: 3}.get(len(items), 4))


def _draw_numbers(rng: Random) -> Slots:
    return {"numbers": _join([str(n) for n in rng.sample(range(1, rng.choice((10, 10, 50))), rng.choice((3, 3, 4)))])}


def _numbers(slots: Slots) -> list[str] | None:
    items = _items(slots["numbers"])
    plain = all(item.isdecimal() and item.isascii() and len(item) < 5 for item in items)
    return items if plain and 2 <= len(items) <= 8 and len(set(items)) == len(items) else None


def _sort_numbers(slots: Slots, down: bool) -> Solution | None:
    if (items := _numbers(slots)) is None:
        return None
    level = {2: 0, 3: 0, 4: 1, 5: 2}.get(len(items), 3) + down
    return _listed(sorted(items, key=int, reverse=down), items, level)


def _extreme(slots: Slots, largest: bool) -> Solution | None:
    if (items := _numbers(slots)) is None:
        return None
    ordered = sorted(items, key=int, reverse=largest)
    word = "largest" if largest else "smallest"
    return Solution(
        ordered[0],
        (f"The {word} number is {{key}}.", f"{{key}} is the {word}."),
        last_number(ordered[0]),
        {2: 0, 3: 0, 4: 1, 5: 1}.get(len(items), 2),
        tuple(ordered[1:]),
    )


def _draw_bag(rng: Random) -> Slots:
    name = rng.choice(list(GROUPS))
    words = rng.sample(GROUPS[name], rng.randint(1, 4))
    others = rng.sample([w for w in WORDS if w not in GROUPS[name]], rng.randint(0, 2))
    bag = words + others
    rng.shuffle(bag)
    return {"words": _join(bag), "group": name} if len(bag) > 1 else _draw_bag(rng)


def _count(slots: Slots) -> Solution | None:
    items = _items(slots["words"].lower())
    if not 2 <= len(items) <= 8 or any(item not in WORDS for item in items):
        return None
    value = len(items)
    return Solution(
        str(value),
        ("The list has {key} words.", "There are {key} words."),
        last_number(str(value)),
        0 if value < 4 else 1,
        near_numbers(value),
    )


def _count_group(slots: Slots) -> Solution | None:
    items = _items(slots["words"].lower())
    group = slots["group"].lower()
    if group not in GROUPS or not 2 <= len(items) <= 8 or any(item not in WORDS for item in items):
        return None
    value = sum(item in GROUPS[group] for item in items)
    return Solution(
        str(value),
        (f"The number of {group} words is {{key}}.", "I count {key}."),
        last_number(str(value)),
        2 if len(items) < 5 else 3,
        near_numbers(value, len(items)),
    )


def _draw_pair(rng: Random) -> Slots:
    a, b = rng.sample(range(1, rng.choice((10, 20, 100))), 2)
    return {"a": str(a), "b": str(b)}


def _larger(slots: Slots, largest: bool) -> Solution | None:
    a, b = int(slots["a"]), int(slots["b"])
    if a == b or min(a, b) < 0:
        return None
    key, other = (max(a, b), min(a, b)) if largest else (min(a, b), max(a, b))
    return Solution(
        str(key),
        (f"{{key}} is {'larger' if largest else 'smaller'}.", "It is {key}."),
        last_number(str(key)),
        0 if max(a, b) < 100 else 1,
        (str(other),),
    )


def _is_larger(slots: Slots) -> Solution | None:
    a, b = int(slots["a"]), int(slots["b"])
    if min(a, b) < 0 or a == b:
        return None
    yes = a > b
    key = "Yes" if yes else "No"
    return Solution(key, (f"{{key}}, {max(a, b)} is larger than {min(a, b)}.",), says_yes(yes), 1, ("No" if yes else "Yes",))


def _draw_two(rng: Random) -> Slots:
    return dict(zip(("one", "two"), rng.sample(WORDS, 2), strict=True))


def _longer(slots: Slots) -> Solution | None:
    one, two = slots["one"].lower(), slots["two"].lower()
    if one not in WORDS or two not in WORDS or len(one) == len(two):
        return None
    key, other = (one, two) if len(one) > len(two) else (two, one)
    return Solution(key, ('The longer word is "{key}".', "{key} is longer."), mentions(key, (other,)), 2, (other,))


def _earlier(slots: Slots) -> Solution | None:
    one, two = slots["one"].lower(), slots["two"].lower()
    if one not in WORDS or two not in WORDS or one == two:
        return None
    key, other = sorted((one, two))
    level = 1 if one[0] != two[0] else 3
    return Solution(
        key, ('"{key}" comes first.', "The first in the alphabet is {key}."), mentions(key, (other,)), level, (other,)
    )


def _kind(
    family: str,
    name: str,
    intent: str,
    skills: tuple[str, ...],
    templates: tuple[str, ...],
    draw: Draw,
    solve: Solve,
    weight: float = 1.0,
) -> Kind:
    use_case = {"sorting": "list sorting", "counting": "counting", "comparison": "comparison"}[family]
    tag = "Data analysis" if family != "comparison" else "Reasoning"
    return Kind(family, tag, intent, use_case, skills, templates, draw, solve, weight, name=name)


_ORDER, _COUNT, _COMPARE = ("alphabetical order",), ("counting",), ("number sense",)
KINDS = (
    _kind(
        "sorting",
        "words",
        "sort words by the alphabet",
        _ORDER,
        (
            "Sort these words by the alphabet: {words}",
            "Put in alphabetical order: {words}",
            "Alphabetise this list: {words}",
            "Arrange the words {words} from A to Z.",
            "Can you order {words} alphabetically?",
        ),
        _draw_words,
        _sort_words,
        1.3,
    ),
    _kind(
        "sorting",
        "up",
        "sort numbers from small to large",
        ("numerical order",),
        (
            "Sort these numbers from small to large: {numbers}",
            "Order {numbers} from lowest to highest.",
            "Put these numbers in rising order: {numbers}",
        ),
        _draw_numbers,
        lambda slots: _sort_numbers(slots, down=False),
    ),
    _kind(
        "sorting",
        "down",
        "sort numbers from large to small",
        ("numerical order",),
        (
            "Sort these numbers from large to small: {numbers}",
            "Order {numbers} from highest to lowest.",
            "Put these numbers in falling order: {numbers}",
        ),
        _draw_numbers,
        lambda slots: _sort_numbers(slots, down=True),
        0.8,
    ),
    _kind(
        "counting",
        "words",
        "count the words of a list",
        _COUNT,
        (
            "How many words are in this list: {words}?",
            "Count the words: {words}",
            "How long is the list {words}?",
        ),
        _draw_words,
        _count,
    ),
    _kind(
        "counting",
        "group",
        "count the words of one kind",
        (*_COUNT, "word meaning"),
        (
            "How many of these words name a kind of {group}: {words}?",
            "Count the {group} words in this list: {words}",
        ),
        _draw_bag,
        _count_group,
    ),
    _kind(
        "comparison",
        "largest",
        "find the largest number",
        _COMPARE,
        (
            "Which is the largest of {numbers}?",
            "Find the largest number: {numbers}",
            "What is the maximum of {numbers}?",
        ),
        _draw_numbers,
        lambda slots: _extreme(slots, largest=True),
    ),
    _kind(
        "comparison",
        "smallest",
        "find the smallest number",
        _COMPARE,
        (
            "Which is the smallest of {numbers}?",
            "Find the smallest number: {numbers}",
            "What is the minimum of {numbers}?",
        ),
        _draw_numbers,
        lambda slots: _extreme(slots, largest=False),
        0.8,
    ),
    _kind(
        "comparison",
        "larger",
        "compare two numbers",
        _COMPARE,
        (
            "Which is larger, {a} or {b}?",
            "Which number is bigger: {a} or {b}?",
        ),
        _draw_pair,
        lambda slots: _larger(slots, largest=True),
        0.6,
    ),
    _kind(
        "comparison",
        "smaller",
        "compare two numbers",
        _COMPARE,
        (
            "Which is smaller, {a} or {b}?",
            "Which number is less: {a} or {b}?",
        ),
        _draw_pair,
        lambda slots: _larger(slots, largest=False),
        0.6,
    ),
    _kind(
        "comparison",
        "is larger",
        "check a comparison",
        _COMPARE,
        (
            "Is {a} larger than {b}?",
            "Is {a} more than {b}?",
            "True or false: {a} is greater than {b}.",
        ),
        _draw_pair,
        _is_larger,
        0.6,
    ),
    _kind(
        "comparison",
        "longer word",
        "compare the length of two words",
        ("counting", "spelling"),
        (
            'Which word is longer, "{one}" or "{two}"?',
            "Which has more letters, {one} or {two}?",
        ),
        _draw_two,
        _longer,
        0.6,
    ),
    _kind(
        "comparison",
        "earlier word",
        "compare two words by the alphabet",
        _ORDER,
        (
            'Which comes first in the alphabet, "{one}" or "{two}"?',
            "In a dictionary, which comes first: {one} or {two}?",
        ),
        _draw_two,
        _earlier,
        0.6,
    ),
)
