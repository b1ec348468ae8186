"""Make names that are easily mistaken for a given name, independently of the guard's own rules.

The look-alike letters are a few of those in Unicode's confusables.txt (UTS #39, version 16), chosen
by eye; the typing errors are those of fingers on a QWERTY keyboard.
"""
# ruff: noqa: RUF001 - this module is about letters that look like others

from collections.abc import Callable
from typing import Final

from bench.guard.people import Rng

LOOKS: Final = {
    "a": "аαɑ",
    "c": "сϲ",
    "d": "ԁ",
    "e": "е",
    "h": "һ",
    "i": "іι1",
    "j": "ј",
    "l": "1Iӏ",
    "o": "оο0",
    "p": "рρ",
    "s": "ѕ5",
    "u": "υս",
    "v": "νѵ",
    "x": "х",
    "y": "уγ",
    "A": "АΑ",
    "B": "ВΒ8",
    "C": "СϹ",
    "D": "Ꭰ",
    "E": "ЕΕ",
    "H": "НΗ",
    "J": "Ј",
    "K": "КΚ",
    "M": "МΜ",
    "N": "Ν",
    "O": "ОΟ0",
    "P": "РΡ",
    "S": "Ѕ5",
    "T": "ТΤ",
    "X": "Х",
    "I": "lІ1",
}
KEYS: Final = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
LONG: Final = 8  # the minimum length of a name in which two typing errors are made
ENDINGS: Final = ("ine", "ina", "son", "anne", "ie", "ella")
Maker = Callable[[str, Rng], str]


def in_other_letters(name: str, rng: Rng) -> str:
    """Replace some or all letters by look-alikes: digits, or letters mostly of other alphabets."""
    share = 1.0 if rng.random() < 0.3 else 0.5
    places = [at for at, letter in enumerate(name) if letter in LOOKS]
    chosen = [at for at in places if rng.random() < share] or places[:1]
    letters = list(name)
    for at in chosen:
        looks = LOOKS[name[at]]
        letters[at] = looks[int(rng.integers(len(looks)))]
    return "".join(letters)


def doubled(name: str, rng: Rng) -> str:
    """Double a letter, or drop one letter of a double one."""
    twice = [at for at in range(1, len(name)) if name[at - 1].lower() == name[at]]
    if twice and rng.random() < 0.5:
        return name[: twice[0]] + name[twice[0] + 1 :]
    at = int(rng.integers(1, len(name)))
    return name[:at] + name[at] + name[at:]


def swapped(name: str, rng: Rng) -> str:
    """Swap two neighbouring letters; the first letter of the name stays."""
    at = int(rng.integers(1, len(name) - 1))
    return name[:at] + name[at + 1] + name[at] + name[at + 2 :]


def slipped_twice(name: str, rng: Rng) -> str:
    """Make two typing errors of random kinds."""
    return _slip(_slip(name, rng), rng)


def in_short(name: str, rng: Rng) -> str:
    """Return the beginning of the name, or a longer name that begins with it."""
    if len(name) < 5 or rng.random() < 0.3:
        return name + ENDINGS[int(rng.integers(len(ENDINGS)))]
    return name[: int(rng.integers(3, len(name) - 1))]


def _slip(name: str, rng: Rng) -> str:
    kinds: tuple[Maker, ...] = (doubled, swapped, _left_out, _key_beside)
    return kinds[int(rng.integers(len(kinds)))](name, rng)


def _left_out(name: str, rng: Rng) -> str:
    at = int(rng.integers(1, len(name)))
    return name[:at] + name[at + 1 :]


def _key_beside(name: str, rng: Rng) -> str:
    at = int(rng.integers(1, len(name)))
    row = next((row for row in KEYS if name[at] in row), KEYS[1])
    place = max(row.find(name[at]), 0)
    other = row[place - 1] if place else row[1]
    return name[:at] + other + name[at + 1 :]
