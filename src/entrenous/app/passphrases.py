"""Passphrases that a person types or chooses: their strength, and a suggestion of five words."""

import re
import secrets
import unicodedata
from functools import cache
from typing import Final

from starlette.datastructures import FormData
from xkcdpass import xkcd_password

from entrenous.app.forms import typed_text
from entrenous.app.web import error_words
from entrenous.base.errors import EntrenousError, Refused
from entrenous.base.secret import Secret
from entrenous.learn.check_up import PASSPHRASE_GUESSES_LOG10_MIN, passphrase_guesses_log10

_SUGGESTED_WORD_COUNT: Final = 5  # each from a list of about 7,750 words; 64 bits in total
#: Beginnings of words that are not suggested, since they could hurt somebody whose pictures leaked.
_NOT_SUGGESTED_PATTERN: Final = re.compile(
    "gonad|undress|unclothed|unzip|uncover|groin|pelvis|bust|thong|underwear|grope|mating|a?sham|"
    "expos|unwed|lust|filth|predator|hurt|hatred|revenge|venge|reveal|snitch"
)
_WORD_LETTERS_MIN_MAX: Final = (3, 9)


class TypedDifferently(Refused):
    """The two passphrases are not the same. Nothing was changed. Type the same passphrase twice."""


class EasilyGuessed(Refused):
    """
    Somebody who gets the files that this passphrase protects could guess it with a computer. Choose
    a different passphrase, or use this one anyway. Nothing has been changed yet.
    """


def passphrase_in(form: FormData, name: str) -> Secret:
    """Return the passphrase in a field, in Unicode's NFC, since keyboards encode accents
    differently.
    """
    value = form.get(name, "")
    text = value if isinstance(value, str) else ""
    return Secret(unicodedata.normalize("NFC", text).encode(errors="surrogateescape"))


def chosen_passphrase(form: FormData) -> Secret:
    """Return the new passphrase that was typed into the fields of ``new_passphrase.html``.

    Raises TypedDifferently; EasilyGuessed, unless the person chose to use a weak passphrase anyway.
    """
    words = passphrase_in(form, "passphrase")
    if words.reveal() != passphrase_in(form, "again").reveal():
        raise TypedDifferently
    if is_weak(words) and not typed_text(form, "anyway"):
        raise EasilyGuessed
    return words


def new_passphrase_variables(why: EntrenousError | None) -> dict[str, object]:
    """Return the variables of ``new_passphrase.html``: a suggestion, and why the form is shown
    again.
    """
    return {
        "words": "" if why is None else error_words(why),
        "suggestion": suggest_passphrase(),
        "may_be_weak": isinstance(why, EasilyGuessed),
    }


def suggest_passphrase() -> str:
    """Return five random words from EFF's long list (Bonneau 2016), separated by spaces."""
    return " ".join(secrets.choice(_suggestable_words()) for _ in range(_SUGGESTED_WORD_COUNT))


def is_weak(passphrase: Secret) -> bool:
    """Return whether somebody who has the vault's files could guess the passphrase (zxcvbn; Wheeler
    2016).
    """
    return passphrase_guesses_log10(passphrase) < PASSPHRASE_GUESSES_LOG10_MIN


@cache
def _suggestable_words() -> tuple[str, ...]:
    shortest, longest = _WORD_LETTERS_MIN_MAX
    all_words = xkcd_password.generate_wordlist("eff-long", shortest, longest)
    return tuple(word for word in all_words if not _NOT_SUGGESTED_PATTERN.match(word))
