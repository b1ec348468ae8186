"""How strong a passphrase is, in one honest line, and a suggestion of five words."""

import secrets
from functools import cache
from typing import Final

from xkcdpass import xkcd_password

from entrenous.base.secret import Secret
from entrenous.learn.check_up import GUESSES_LOG10_MIN, guesses_log10

_WORDS: Final = 5  # of 7,776: 64 bits
_LETTERS: Final = (3, 9)


def suggestion() -> str:
    """Return five random words of EFF's long list (Bonneau 2016), with blanks between them."""
    return " ".join(secrets.choice(_words()) for _ in range(_WORDS))


def is_weak(passphrase: Secret) -> bool:
    """Whether somebody who has the vault's files could guess it (zxcvbn; Wheeler 2016)."""
    return guesses_log10(passphrase) < GUESSES_LOG10_MIN


@cache
def _words() -> tuple[str, ...]:
    shortest, longest = _LETTERS
    return tuple(xkcd_password.generate_wordlist("eff-long", shortest, longest))
