"""How alike two columns' names are: word by word, with abbreviations and slips, and never by a common ending alone."""

import re
from difflib import SequenceMatcher
from functools import lru_cache

SAME_WORDS = 0.95
PART = 0.5  # all words of one name stand in the other, which says more

_BOUNDARY = re.compile(
    r"[\W_]+|(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])|(?<=[a-zß-ÿ])(?=[A-ZÀ-Þ])|(?<=[A-ZÀ-Þ])(?=[A-ZÀ-Þ][a-zß-ÿ])"
)
_ABBREVIATED, _MISSPELT = 0.8, 0.85
_SHORTEST_SLIP = 5
_SYNONYMS = ({"no", "nr", "num", "number"}, {"id", "identifier", "key"}, {"ts", "time", "timestamp", "at"})


@lru_cache(maxsize=10_000)
def words_of(name: str) -> tuple[str, ...]:
    """The words of `customer_id`, `customerId` or `CUSTOMER ID`."""
    return tuple(word.casefold() for word in _BOUNDARY.split(name) if word)


def likeness(left: str, right: str) -> float:
    """0 for names that have nothing to do with each other, 1 for the same words; what lies between is a guess."""
    first, second = words_of(left), words_of(right)
    if not first or not second:
        return 0.0
    if sorted(first) == sorted(second):
        return 1.0 if first == second else SAME_WORDS
    if len(first) == len(second):
        return _in_order(first, second)
    shorter, longer = sorted((first, second), key=len)
    if len(shorter) == 1 and (joined := _joined(shorter[0], longer)):
        return joined
    rest = iter(longer)
    return PART if all(any(_words_alike(word, other) == 1 for other in rest) for word in shorter) else 0.0


def _in_order(first: tuple[str, ...], second: tuple[str, ...]) -> float:
    """The mean over the words; one that has no counterpart may turn the meaning: `price_min`, `price_max`."""
    each = [_words_alike(one, other) for one, other in zip(first, second, strict=True)]
    return sum(each) / len(each) if all(each) else 0.0


def _words_alike(one: str, other: str) -> float:
    if one == other:
        return 1.0
    if any(one in synonyms and other in synonyms for synonyms in _SYNONYMS) or _abbreviates(one, other):
        return _ABBREVIATED
    if min(len(one), len(other)) < _SHORTEST_SLIP or one[0] != other[0] or one.isdigit() or other.isdigit():
        return 0.0  # what differs at its start may mean the opposite: active, inactive
    return _MISSPELT if SequenceMatcher(None, one, other).ratio() >= _MISSPELT else 0.0


def _abbreviates(one: str, other: str) -> bool:
    """`qty` for `quantity`: the letters in their order, beginning with the first."""
    short, long = sorted((one, other), key=len)
    letters = iter(long)
    return len(short) > 1 and short.isalpha() and short[0] == long[0] and all(letter in letters for letter in short)


def _joined(word: str, longer: tuple[str, ...]) -> float:
    """`custid` for `customer_id`: a name without marks between its words."""
    whole = "".join(longer)
    if word == whole:
        return SAME_WORDS
    ends_alike = word.endswith(longer[-1]) and word != longer[-1]
    return _ABBREVIATED if ends_alike and _abbreviates(word, whole) else 0.0
