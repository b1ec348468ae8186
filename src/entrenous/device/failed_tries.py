"""What a person is told after wrong passphrases were tried at her device."""

from collections.abc import Iterator
from typing import Final

from entrenous.base.errors import shell_quoted
from entrenous.device.store.vault_folder import Unlocked, forget_freed, was_freed

_FREED: Final = (
    "Since you last opened this device, its recovery sheet allowed ten more tries. Before that, up "
    "to ten tries at its passphrase had failed."
)
_COUNTS: Final = "A mistyped word counts, and so does a command that was cut short."
_IF_NOT_YOU: Final = (
    "If that was not you, somebody may have a copy of this device's folder. Another passphrase "
    "shuts every older copy: entrenous passphrase change"
)
_REVOKE: Final = (
    "If the device itself is gone, revoke it from another one of yours: entrenous device revoke "
    "{name} --lost"
)


def take_warning_of_tries(unlocked: Unlocked, name: str) -> tuple[str, ...]:
    """Return the warning about failed tries since the device named ``name`` was last opened; empty
    if there were none. It is given once.
    """
    freed = was_freed(unlocked.home)
    if not freed and not unlocked.missed:
        return ()
    forget_freed(unlocked.home)
    return tuple(_warning(unlocked.missed, name, freed=freed))


def _warning(tries: int, name: str, *, freed: bool) -> Iterator[str]:
    """With ``freed``, a recovery sheet has reset the tries, so those before it are unknown."""
    if freed:
        yield _FREED
    if tries:
        count = "1 try" if tries == 1 else f"{tries} tries"
        since = "after that" if freed else "since you last opened it"
        yield f"{count} at this device's passphrase failed {since}."
    yield _COUNTS
    yield _IF_NOT_YOU
    yield _REVOKE.format(name=shell_quoted(name))
