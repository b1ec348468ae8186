"""The check-up: leak paths that this machine can see, as open or closed."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from zxcvbn import zxcvbn

from entrenous.base.secret import Secret
from entrenous.learn.this_machine import MachineFacts


class LeakPath(StrEnum):
    """Whether a leak path is open or closed; UNKNOWN if this machine cannot see it."""

    OPEN = "open"
    CLOSED = "closed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Advice:
    """One finding of the check-up, and the next step.

    ``closes`` names the leak path in words, e.g. "somebody reads the vault's files".
    """

    check: str
    path: LeakPath
    closes: str
    found: str
    next_step: str | None = None


STEPS_MAX: Final = 5
GUESSES_LOG10_MIN: Final = 10.0  # zxcvbn's "very unguessable"; Wheeler 2016, USENIX Security 25
_ZXCVBN_LENGTH_MAX: Final = 72  # a longer passphrase is judged by its beginning
_NAMES_SHOWN: Final = 3


def check_up(facts: MachineFacts, passphrase: Secret | None = None) -> list[Advice]:
    """Judge the passphrase, the vault's permissions and the disk; open paths come first.

    ``passphrase`` is UTF-8 as typed, used once and not stored; None skips its check.
    """
    found = [_passphrase(passphrase), _permissions(facts), _disk(facts)]
    return _limit_steps(sorted(found, key=lambda advice: _FIRST.index(advice.path)))


def guesses_log10(passphrase: Secret) -> float:
    """Estimate the guesses needed, as a power of ten (zxcvbn)."""
    words = passphrase.reveal().decode(errors="replace")[:_ZXCVBN_LENGTH_MAX]
    return float(zxcvbn(words)["guesses_log10"]) if words else 0.0


_FIRST: Final = (LeakPath.OPEN, LeakPath.UNKNOWN, LeakPath.CLOSED)


def _passphrase(passphrase: Secret | None) -> Advice:
    say = _finding("passphrase", "somebody who gets hold of the vault guesses its passphrase")
    step = "Choose four or five words that have nothing to do with each other or with you."
    if passphrase is None:
        return say(LeakPath.UNKNOWN, "The passphrase was not looked at.", None)
    power = guesses_log10(passphrase)
    found = f"A clever guesser would need about 10 to the power of {power:.0f} tries."
    if power < GUESSES_LOG10_MIN:
        return say(LeakPath.OPEN, found, step)
    return say(LeakPath.CLOSED, found, None)


def _permissions(facts: MachineFacts) -> Advice:
    say = _finding("vault files", "another account on this computer reads the vault's files")
    loose = facts.open_to_others
    if loose is None:
        step = f"Look at who may open this folder: {facts.home}"
        return say(LeakPath.UNKNOWN, "Who may read the vault's files cannot be seen here.", step)
    if loose:
        more = f" and {len(loose) - _NAMES_SHOWN} more" if len(loose) > _NAMES_SHOWN else ""
        names = ", ".join(loose[:_NAMES_SHOWN]) + more
        return say(
            LeakPath.OPEN,
            f"Others may open: {names}.",
            f'Close them: chmod -R go-rwx "{facts.home}"',
        )
    return say(LeakPath.CLOSED, "Only your own account may read the vault's files.", None)


def _disk(facts: MachineFacts) -> Advice:
    say = _finding("disk encryption", "somebody who has the disk reads what programs left on it")
    if facts.disk_encrypted is None:
        step = f"Look in the settings of {facts.system} whether the disk is encrypted."
        return say(
            LeakPath.UNKNOWN, "Whether the disk is encrypted cannot be seen from here.", step
        )
    if facts.disk_encrypted:
        return say(LeakPath.CLOSED, "The disk that the vault is on is encrypted.", None)
    return say(
        LeakPath.OPEN,
        "No encryption was seen on the disk that the vault is on.",
        "This is not urgent. When you have a quiet day, turn on disk encryption; on some systems"
        " that means installing anew.",
    )


def _finding(check: str, closes: str) -> Callable[[LeakPath, str, str | None], Advice]:
    return lambda path, found, step: Advice(check, path, closes, found, step)


def _limit_steps(advice: list[Advice]) -> list[Advice]:
    """Keep only the first STEPS_MAX next steps; all findings stay."""
    left = STEPS_MAX
    kept = []
    for one in advice:
        left -= one.next_step is not None
        kept.append(one if left >= 0 else replace(one, next_step=None))
    return kept
