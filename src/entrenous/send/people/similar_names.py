"""Find names that are easily mistaken for each other (docs/spec/people.md, section 2)."""
# ruff: noqa: RUF001 - look-alike letters are the subject of this file

import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from entrenous.device.identities import comparable_name

# Look-alikes of each small letter, after accents have been removed.
_LOWERCASE_LOOK_ALIKES: Final = {
    "a": "ɑαа",
    "b": "ƅьвʙ",
    "c": "ᴄсϲ",
    "d": "ԁɗđ",
    "e": "еεҽєɛ3ᴇ",
    "f": "ẝքϝƒ",
    "g": "ɡɢցԍ9",
    "h": "һհʜнħ",
    "j": "јϳᴊ",
    "k": "кκᴋқ",
    "l": "1i|ıɪɩιіӏłʟ",
    "m": "мᴍ",
    "n": "ոռпηɴ",
    "o": "0ᴏοоօσøө",
    "p": "рρᴘ",
    "q": "ԛգզ",
    "r": "гʀᴦɾ",
    "s": "5ѕꜱƽʂ",
    "t": "тτᴛ7ŧ",
    "u": "υսʋᴜцμи",
    "v": "νѵᴠ",
    "w": "ԝшɯᴡѡաω",
    "x": "хχ",
    "y": "уүγʏɣ",
    "z": "ᴢζʐ",
    "6": "б",
    "8": "ȣ",
    "ae": "æӕ",
    "oe": "œ",
}
# Letters whose capitals look alike, though the small letters do not.
_CAPITAL_LOOK_ALIKES: Final = {
    "b": "β8",
    "h": "ηн",
    "m": "μ",
    "n": "νи",
    "r": "я",
    "s": "տ",
    "y": "υ",
    "e": "э",
}
# NFKC would make these a sigma, which does not look like a c
_LUNATE_SIGMAS: Final = {0x3F2: "c", 0x3F9: "c"}
_LOOK_ALIKE_PAIRS: Final = {"rn": "m", "vv": "w"}
_ALPHABETS: Final = {"LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "CHEROKEE"}
# names with at least this many letters may differ by two typing errors
_LONG_NAME_LETTERS_MIN: Final = 6
_SHORT_FORM_LETTERS_MIN: Final = 2  # the minimum number of letters in a short form
_SHORT_SYLLABIC_NAME_CHARS_MAX: Final = 2
_SYLLABIC_SCRIPTS: Final = ("CJK ", "HANGUL ", "HIRAGANA ", "KATAKANA ")


def are_names_similar(one: str, other: str) -> bool:
    """Check whether two names are easily mistaken for each other.

    They are if they look alike, if they differ by one typing error (two if both have at least six
    letters), or if one is a short form of the other. No typing error is allowed in a name of one or
    two characters if at least one of these is Chinese, Korean or Japanese.
    """
    of_one, of_other = look_alike_forms(one), look_alike_forms(other)
    a, b = of_one[0], of_other[0]
    if _is_short_form(a, b) or _is_short_form(b, a):
        return True
    slips = min(_typing_errors_allowed(of_one[0]), _typing_errors_allowed(of_other[0]))
    return any(
        _is_within_edit_distance(slips, *pair) for pair in zip(of_one, of_other, strict=True)
    )


def mixes_alphabets(name: str) -> bool:
    """Check whether a word mixes letters of two alphabets with similar letter shapes."""
    return any(
        len(_look_alike_alphabets(word)) > 1 for word in unicodedata.normalize("NFKC", name).split()
    )


@lru_cache(maxsize=4096)
def look_alike_forms(name: str) -> tuple[str, str, str]:
    """Return a name in comparable form, and its skeletons in small letters and in capitals."""
    drawn = unicodedata.normalize("NFD", comparable_name(name.translate(_LUNATE_SIGMAS)))
    bare = "".join(char for char in drawn if not unicodedata.combining(char))
    return (
        comparable_name(name),
        _look_alike_skeleton(bare, _LOWERCASE_SKELETON_TABLE),
        _look_alike_skeleton(bare, _CAPITAL_SKELETON_TABLE),
    )


def _look_alike_skeleton(bare: str, table: Mapping[int, str]) -> str:
    drawn = bare.translate(table)
    for pair, one in _LOOK_ALIKE_PAIRS.items():
        drawn = drawn.replace(pair, one)
    return drawn


def _translation_table(looks: Mapping[str, str]) -> dict[int, str]:
    return {ord(char): letter for letter, chars in looks.items() for char in chars}


def _look_alike_alphabets(word: str) -> set[str]:
    """Return the alphabets with similar letter shapes that a word's letters belong to."""
    names = (unicodedata.name(char, "").split(" ")[0] for char in word if char.isalpha())
    return _ALPHABETS.intersection(names)


def _is_short_form(a: str, b: str) -> bool:
    """Check word by word whether ``b`` starts with ``a``, which may have fewer words."""
    short, long = _words_of_name(a), _words_of_name(b)
    if not short or len(short[0]) < _SHORT_FORM_LETTERS_MIN or len(short) > len(long):
        return False
    return all(map(str.startswith, long, short))


def _words_of_name(name: str) -> list[str]:
    """Split a name into words, without the dots of initials."""
    return [word.rstrip(".") for word in name.split()]


def _typing_errors_allowed(name: str) -> int:
    """Return the number of typing errors up to which a name counts as similar to this one.

    It is 0 for a name of one or two characters if at least one of these is syllabic, as in Chinese.
    """
    signs = (unicodedata.name(char, "") for char in name)
    if len(name) <= _SHORT_SYLLABIC_NAME_CHARS_MAX and any(
        sign.startswith(_SYLLABIC_SCRIPTS) for sign in signs
    ):
        return 0
    return 2 if len(name) >= _LONG_NAME_LETTERS_MIN else 1


def _is_within_edit_distance(slips: int, a: str, b: str) -> bool:
    slips = slips if min(len(a), len(b)) >= _LONG_NAME_LETTERS_MIN else min(slips, 1)
    return abs(len(a) - len(b)) <= slips and _edit_distance(a, b) <= slips


def _edit_distance(a: str, b: str) -> int:
    """Return the Damerau-Levenshtein distance, the unrestricted form that allows edits between
    transposed letters (Lowrance and Wagner 1975).
    """
    far = len(a) + len(b)
    rows: list[list[int]] = [[far] * (len(b) + 2), [far, *range(len(b) + 1)]]
    row_of: dict[str, int] = {}
    for i, left in enumerate(a, 1):
        row, same = [far, i], 0
        for j, right in enumerate(b, 1):
            above, before = row_of.get(right, 0), same
            same = j if left == right else same
            swapped = rows[above][before] + (i - above - 1) + 1 + (j - before - 1)
            row.append(min(rows[i][j] + (left != right), row[j] + 1, rows[i][j + 1] + 1, swapped))
        rows.append(row)
        row_of[left] = i
    return rows[-1][-1]


_LOWERCASE_SKELETON_TABLE: Final = _translation_table(_LOWERCASE_LOOK_ALIKES)
_CAPITAL_SKELETON_TABLE: Final = _LOWERCASE_SKELETON_TABLE | _translation_table(
    _CAPITAL_LOOK_ALIKES
)
