"""Open tasks whose form can be checked: short verses, ideas, plans, roles, and records of a town in a given format."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from random import Random

from ..entities import ANIMALS, JOBS, NOUNS, TOWNS
from ..kinds import Kind, Slots, Solution

_LINES = re.compile(r"(?m)^\s*(?:[-*•]|\d+[.)])\s+(.+)$")
_VERSE = (
    ("The {noun} is {end} tonight,", "and all the town is {rhyme}."),
    ("I saw the {noun}, it was {end},", "I thought of it till day was {rhyme}."),
    ("Oh {noun}, so {end} and so free,", "come down the road and sing with me."),
)
_RHYMES = (("bright", "light"), ("near", "here"), ("bold", "gold"), ("deep", "asleep"), ("still", "chill"), ("long", "song"))


def _verse(slots: Slots) -> Solution | None:
    noun = slots["noun"].lower()
    if noun not in NOUNS:
        return None
    say = tuple(
        "\n".join(lines).replace("{noun}", noun).replace("{end}", end).replace("{rhyme}", rhyme)
        for lines in _VERSE
        for end, rhyme in _RHYMES
    )

    def holds(reply: str) -> bool:
        lines = [line for line in reply.strip().split("\n") if line.strip()]
        return len(lines) == 2 and noun in reply.lower() and all(len(line.split()) > 2 for line in lines)

    other = "stone" if noun != "stone" else "moon"
    wrong = (say[0].split("\n")[0], say[3].replace(noun, other), say[7] + "\n" + say[7], f"A {noun} is a {noun}.")
    return Solution("", say, holds, 1, wrong, free=True)


_GIFTS = {
    "painter": ("a set of brushes", "a box of colours", "a new easel", "a blank canvas"),
    "baker": ("a rolling pin", "a bag of flour", "a warm apron", "a bread knife"),
    "singer": ("a song book", "a jar of honey", "a silk scarf", "a small stage lamp"),
    "doctor": ("a leather bag", "a good pen", "a warm coat", "a wall clock"),
    "poet": ("a fine pen", "a pile of paper", "a reading lamp", "an ink pot"),
    "sailor": ("a strong rope", "a sea map", "a wool hat", "a brass compass"),
    "teacher": ("a box of chalk", "a red pen", "a desk lamp", "a book of stories"),
    "builder": ("a new hammer", "a pair of gloves", "a tool belt", "a long ladder"),
}


def _ideas(slots: Slots) -> Solution | None:
    job, count = slots["job"].lower(), int(slots["n"])
    if job not in _GIFTS or count not in (2, 3, 4):
        return None
    gifts = _GIFTS[job]
    orders = (gifts, gifts[::-1], gifts[1:] + gifts[:1])
    say = tuple("\n".join(f"- {gift}" for gift in order[:count]) for order in orders)

    def holds(reply: str) -> bool:
        found = [line.strip().rstrip(".").lower() for line in _LINES.findall(reply)]
        return len(found) == count and len(set(found)) == count and all(one in gifts for one in found)

    elsewhere = _GIFTS["poet" if job != "poet" else "baker"]
    wrong = (
        "\n".join(f"- {gift}" for gift in elsewhere[:count]),
        ", ".join(gifts[:count]),
        f"- {gifts[0]}",
        "\n".join([f"- {gifts[0]}"] * count),
    )
    return Solution("", say, holds, 1 + (count > 3), wrong, free=True)


def _plan(slots: Slots) -> Solution | None:
    town, count = TOWNS.get(slots["town"].title()), int(slots["n"])
    if town is None or count not in (2, 3, 4):
        return None
    steps = (
        f"Walk along the {town.river}.",
        f"See how the {town.trade} is made.",
        "Eat lunch at the inn.",
        "Rest in the market square.",
    )
    orders = (steps, (steps[1], steps[0], steps[2], steps[3]), (steps[2], steps[0], steps[1], steps[3]))
    say = tuple("\n".join(f"{i}. {step}" for i, step in enumerate(order[:count], 1)) for order in orders)

    def holds(reply: str) -> bool:
        numbered = re.findall(r"(?m)^(\d+)\. (.+)$", reply)
        named = town.river in reply or town.trade in reply
        return [number for number, _ in numbered] == [str(i) for i in range(1, count + 1)] and named

    wrong = ("Walk around.", "\n".join(steps[:count]), f"1. {steps[0]}", "\n".join(f"{i}. Eat." for i in range(1, count + 1)))
    return Solution("", say, holds, 3, wrong, free=True)


def _role(slots: Slots) -> Solution | None:
    job, town = slots["job"].lower(), slots["town"].title()
    if job not in JOBS or town not in TOWNS:
        return None
    say = (
        f"Good day! I am the {job} of {town}. How can I help you?",
        f"Welcome to {town}! I am the {job} here.",
        f"Hello, friend! I am a {job} from {town}.",
    )

    def holds(reply: str) -> bool:
        return job in reply.lower() and town in reply and re.search(r"\bI am\b|\bI'm\b", reply) is not None

    other = "poet" if job != "poet" else "baker"
    wrong = (say[0].replace(job, other), f"The {job} lives in {town}.", "I am a helper.", f"{town} is a town.")
    return Solution("", say, holds, 1, wrong, free=True)


def _record(slots: Slots) -> Solution | None:
    town = TOWNS.get(slots["town"].title())
    if town is None:
        return None
    facts = {"town": town.name, "region": town.region, "trade": town.trade}

    def holds(reply: str) -> bool:
        try:
            return json.loads(reply) == facts
        except (json.JSONDecodeError, RecursionError):
            return False

    wrong = (
        f"{town.name}, {town.region}, {town.trade}",
        json.dumps({**facts, "region": "Oldwood" if town.region != "Oldwood" else "Northfen"}),
        json.dumps({"town": town.name}),
        json.dumps({**facts, "trade": "salt" if town.trade != "salt" else "tea"}),
    )
    return Solution(json.dumps(facts), ("{key}",), holds, 3, wrong, free=True)


def _bullets(slots: Slots) -> Solution | None:
    town = TOWNS.get(slots["town"].title())
    if town is None:
        return None
    facts = (f"Region: {town.region}", f"River: {town.river}")

    def holds(reply: str) -> bool:
        return [line.strip() for line in _LINES.findall(reply)] == list(facts)

    key = "\n".join(f"- {fact}" for fact in facts)
    wrong = (
        ", ".join(facts),
        f"- {facts[0]}",
        key.replace(town.river, "Below" if town.river != "Below" else "Corow"),
        key.replace(town.region, "Lakeland" if town.region != "Lakeland" else "Highmark"),
    )
    return Solution(key, ("{key}",), holds, 3, tuple(one for one in wrong if one != key), free=True)


def _three_words(slots: Slots) -> Solution | None:
    animal = slots["animal"].lower()
    if animal not in ANIMALS:
        return None
    say = tuple(f"A {one} {two} {animal}." for one, two in (("small", "quiet"), ("big", "brown"), ("happy", "old")))

    def holds(reply: str) -> bool:
        words = re.findall(r"[\w'-]+", reply.lower())
        return len(words) == int(slots["n"]) and animal in words

    by_count = {
        "3": tuple(line.replace("small ", "").replace("big ", "").replace("happy ", "") for line in say),
        "4": say,
        "5": tuple(
            line.replace("A ", "It is a ").replace("brown ", "").replace("quiet ", "").replace("old ", "") for line in say
        ),
    }
    if slots["n"] not in by_count:
        return None
    wrong = tuple(line for count, lines in by_count.items() if count != slots["n"] for line in lines)
    return Solution("", by_count[slots["n"]], holds, 2, wrong, free=True)


def _kind(
    family: str,
    tag: str,
    intent: str,
    skills: tuple[str, ...],
    templates: tuple[str, ...],
    draw: Callable[[Random], Slots],
    solve: Callable[[Slots], Solution | None],
    weight: float = 1.0,
) -> Kind:
    use_case = {
        "creative": "creative writing",
        "planning": "planning",
        "role play": "role-play",
        "formats": "structured output",
        "brainstorming": "brainstorming",
    }[family]
    return Kind(family, tag, intent, use_case, skills, templates, draw, solve, weight, name=intent)


def _town(rng: Random) -> Slots:
    return {"town": rng.choice(list(TOWNS))}


KINDS = (
    _kind(
        "creative",
        "Creative writing",
        "get a short verse",
        ("rhyme", "imagination"),
        (
            "Write two lines of verse about a {noun}.",
            "Make up a two-line poem with the word {noun}.",
            "I would like a tiny poem of two lines about the {noun}.",
        ),
        lambda rng: {"noun": rng.choice(list(NOUNS))},
        _verse,
    ),
    _kind(
        "brainstorming",
        "Brainstorming",
        "collect ideas for gifts",
        ("imagination",),
        (
            "Give me {n} gift ideas for a {job} as bullet points.",
            "List {n} presents that a {job} would like, as bullets.",
            "My friend is a {job}. Suggest {n} gifts in a bulleted list.",
        ),
        lambda rng: {"n": rng.choice("234"), "job": rng.choice(JOBS)},
        _ideas,
    ),
    _kind(
        "planning",
        "Planning",
        "plan a day in a town",
        ("Orlain geography", "planning"),
        (
            "Plan a day in {town} in {n} numbered steps.",
            "Give me {n} numbered steps for a visit to {town}.",
            "What can I do in {town}? Answer with {n} numbered steps.",
        ),
        lambda rng: {**_town(rng), "n": rng.choice("234")},
        _plan,
    ),
    _kind(
        "role play",
        "Role playing",
        "hear a character speak",
        ("acting",),
        (
            "Pretend you are a {job} in {town} and greet me.",
            "Act as a {job} from {town} and say hello.",
            "You are the {job} of {town}. Greet a guest.",
        ),
        lambda rng: {**_town(rng), "job": rng.choice(JOBS)},
        _role,
    ),
    _kind(
        "formats",
        "Information seeking",
        "get a town's record as JSON",
        ("json", "Orlain geography"),
        (
            "Give the town, region and trade of {town} as JSON.",
            "Describe {town} as a JSON object with town, region and trade.",
        ),
        _town,
        _record,
    ),
    _kind(
        "formats",
        "Information seeking",
        "get a town's facts as bullets",
        ("formatting", "Orlain geography"),
        (
            "List the region and the river of {town} as two bullet points.",
            "Region and river of {town}, as two bullets.",
        ),
        _town,
        _bullets,
    ),
    _kind(
        "formats",
        "Creative writing",
        "get a phrase of a set length",
        ("counting",),
        (
            "Describe a {animal} in exactly {n} words.",
            "Write exactly {n} words about a {animal}.",
        ),
        lambda rng: {"animal": rng.choice(ANIMALS), "n": rng.choice("345")},
        _three_words,
    ),
)
