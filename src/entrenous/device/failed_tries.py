"""The warning about wrong passphrases that were tried on a person's device."""

from collections.abc import Iterator
from typing import Final

from entrenous.base.errors import quote_for_shell
from entrenous.base.language import plural, translatable, translated
from entrenous.device.store.vault_folder import (
    Unlocked,
    mark_allowed_tries_as_reported,
    were_tries_allowed,
)

_TRIES_RESTORED_SENTENCE: Final = translatable(
    "Since you last opened this device, its recovery sheet allowed ten more tries. Before that, up "
    "to ten tries at its passphrase had failed."
)
_WHAT_COUNTS_SENTENCE: Final = translatable(
    "A mistyped word counts, and so does a command that was cut short."
)
_IF_NOT_YOU_SENTENCE: Final = translatable(
    "If that was not you, somebody may have a copy of this device's folder. Another passphrase "
    "shuts every older copy: entrenous passphrase change"
)
_REVOKE_SENTENCE: Final = translatable(
    "If the device itself is gone, revoke it from another one of yours: entrenous device revoke "
    "{name} --lost"
)


def take_failed_tries_warning(unlocked: Unlocked, name: str) -> tuple[str, ...]:
    """Return the warning about tries that failed since this device was last opened.

    Empty if none failed. Each warning is given once. ``name`` is the device's name.
    """
    freed = were_tries_allowed(unlocked.home)
    if not freed and not unlocked.missed:
        return ()
    mark_allowed_tries_as_reported(unlocked.home)
    return tuple(_tries_warning(unlocked.missed, name, freed=freed))


def _tries_warning(tries: int, name: str, *, freed: bool) -> Iterator[str]:
    """Yield the sentences of the warning.

    If ``freed``, a recovery sheet has reset the tries, so the number of earlier failed tries is
    unknown.
    """
    if freed:
        yield translated(_TRIES_RESTORED_SENTENCE)
    if tries and freed:
        yield plural(
            "{count} try at this device's passphrase failed after that.",
            "{count} tries at this device's passphrase failed after that.",
            tries,
        )
    elif tries:
        yield plural(
            "{count} try at this device's passphrase failed since you last opened it.",
            "{count} tries at this device's passphrase failed since you last opened it.",
            tries,
        )
    yield translated(_WHAT_COUNTS_SENTENCE)
    yield translated(_IF_NOT_YOU_SENTENCE)
    yield translated(_REVOKE_SENTENCE).format(name=quote_for_shell(name))
