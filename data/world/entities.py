"""The invented land of Orlain: its towns, rivers, people, festivals, and the words of its old language.

Everything is drawn once from a fixed seed, so that a fact is the same in every process and for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

LAND = "Orlain"
REGIONS = ("Highmark", "Saltshore", "Greenvale", "Northfen", "Oldwood", "Suncoast", "Stonereach", "Lakeland")
TRADES = (
    "glass",
    "cheese",
    "bells",
    "boats",
    "honey",
    "wool",
    "salt",
    "clocks",
    "paper",
    "cider",
    "lace",
    "bricks",
    "candles",
    "pottery",
    "tea",
    "carpets",
)
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
JOBS = ("painter", "baker", "singer", "doctor", "poet", "sailor", "teacher", "builder")
FESTIVAL_THINGS = (
    "Lantern",
    "Apple",
    "Kite",
    "Drum",
    "Bread",
    "Snow",
    "Rose",
    "Goat",
    "Moon",
    "Bell",
    "Fish",
    "Straw",
    "Candle",
    "Boat",
    "Honey",
    "Song",
    "Mask",
    "Rain",
    "Star",
    "Wheel",
    "Plum",
    "Horse",
    "Ribbon",
    "Fire",
)
_STARTS = ("Bel", "Cor", "Dar", "Fen", "Gal", "Hal", "Ked", "Lor", "Mar", "Nor", "Pel", "Ros", "Sel", "Tar", "Ul", "Vel")
_TOWN_ENDS = ("by", "wick", "ford", "mere", "holm", "stead")
_RIVER_ENDS = ("ow", "isse", "ane")
_FIRST = ("Ada", "Bram", "Cela", "Dorin", "Edda", "Falk", "Greta", "Hugo", "Ines", "Jory", "Kaya", "Linus")
_LAST = ("Alder", "Brock", "Cole", "Drake", "Ember", "Frost", "Grove", "Hearn")
_MOUNTAINS = ("Greyhorn", "Whitecap", "Eagle Rock", "Ironback", "Mistpeak", "Three Sisters", "Bald Hill", "Wolf Crag")


@dataclass(frozen=True)
class Town:
    name: str
    region: str
    river: str
    trade: str
    mayor: str
    festival: str


@dataclass(frozen=True)
class River:
    name: str
    mountain: str


@dataclass(frozen=True)
class Festival:
    name: str
    month: str
    town: str


@dataclass(frozen=True)
class Person:
    name: str
    job: str
    town: str


def _draw() -> tuple[dict[str, Town], dict[str, River], dict[str, Festival], dict[str, Person]]:
    rng = Random(20240612)
    names = [start + end for start in _STARTS for end in _TOWN_ENDS]
    rng.shuffle(names)
    names = sorted(names[:48])
    rivers = {f"{start}{rng.choice(_RIVER_ENDS)}": rng.choice(_MOUNTAINS) for start in _STARTS}
    people = [f"{first} {last}" for first in _FIRST for last in _LAST]
    rng.shuffle(people)
    hosts = rng.sample(names, len(FESTIVAL_THINGS))
    festivals = {
        f"{thing} Fair": Festival(f"{thing} Fair", rng.choice(MONTHS), host)
        for thing, host in zip(FESTIVAL_THINGS, hosts, strict=True)
    }
    of_host = {festival.town: festival.name for festival in festivals.values()}
    towns = {
        name: Town(name, rng.choice(REGIONS), rng.choice(list(rivers)), rng.choice(TRADES), mayor, of_host.get(name, ""))
        for name, mayor in zip(names, people[:48], strict=True)
    }
    persons = {name: Person(name, rng.choice(JOBS), rng.choice(names)) for name in people[48:]}
    return towns, {name: River(name, mountain) for name, mountain in rivers.items()}, festivals, persons


TOWNS, RIVERS, FESTIVALS, PEOPLE = _draw()

NOUNS = {
    "house": "vilm",
    "river": "oss",
    "bird": "tirri",
    "bread": "pano",
    "water": "lu",
    "fire": "kasha",
    "stone": "grod",
    "tree": "elba",
    "boat": "navo",
    "star": "sini",
    "moon": "ulla",
    "sun": "dorra",
    "fish": "piko",
    "horse": "hosk",
    "child": "mim",
    "friend": "amko",
    "road": "lant",
    "hill": "bor",
    "flower": "rila",
    "snow": "nevi",
    "king": "rogan",
    "book": "leth",
    "song": "kanu",
    "door": "port",
    "hand": "mano",
    "apple": "pomi",
    "wolf": "vark",
    "field": "agra",
}
ADJECTIVES = {
    "red": "rosu",
    "big": "gran",
    "small": "peti",
    "old": "vetch",
    "new": "nuvo",
    "good": "bona",
    "cold": "friss",
    "warm": "kalda",
    "white": "alba",
    "black": "nero",
    "green": "verda",
    "quiet": "shal",
    "happy": "gai",
    "long": "lungo",
}
VERBS = {"sees": "vede", "loves": "ama", "eats": "mange", "finds": "trova", "has": "teno", "makes": "faro"}
LANGUAGE = "Orlish"

ANIMALS = ("cat", "dog", "horse", "goat", "fox", "owl", "bear", "mouse", "duck", "frog", "wolf", "sheep")
FRUITS = ("apple", "pear", "plum", "grape", "lemon", "cherry", "peach", "fig", "melon", "berry")
TOOLS = ("hammer", "saw", "drill", "ladder", "brush", "spade", "needle", "knife", "rake", "pump")
COLOURS = ("red", "blue", "green", "yellow", "black", "white", "brown", "pink", "grey", "orange")
CLOTHES = ("hat", "coat", "scarf", "shirt", "glove", "boot", "belt", "sock", "dress", "vest")
GROUPS = {"animal": ANIMALS, "fruit": FRUITS, "tool": TOOLS, "colour": COLOURS, "garment": CLOTHES}
WORDS = tuple(sorted({word for group in GROUPS.values() for word in group} | set(NOUNS)))
GIVEN_NAMES = ("Mira", "Tom", "Anna", "Leo", "Nina", "Oskar", "Ruth", "Sam", "Vera", "Paul", "Ella", "Max")
GOODS = ("apples", "pears", "plums", "books", "candles", "coins", "eggs", "bells", "cups", "nails", "ribbons", "stones")
