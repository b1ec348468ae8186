"""What a person reads about their devices: their state, a revocation, a move, a new passphrase."""

from collections.abc import Iterator
from typing import Final

from entrenous.base.language import moment_in_words, translatable, translated
from entrenous.base.limits import OFFLINE_UNLOCK_HOURS_MAX
from entrenous.device.identities import Identity
from entrenous.device.store.vault_folder import UnlockedVault
from entrenous.send.devices.move_device import MoveResult
from entrenous.send.devices.own_devices import DeviceOverview, RevocationState, RevokedDeviceResult

_NOT_SHUT_YET_SENTENCE: Final = translatable(
    "Not shut yet: {name}. Your relay is asked again whenever this device fetches."
)
_CLOSE_TOKEN_REFUSED_SENTENCE: Final = translatable(
    "NOT shut: {name}. Your relay does not accept the code with which this device would shut it; "
    "another device of yours, or a recovery sheet that was written on it, may have a newer one."
)


def not_yet_revoked_in_words(shown: DeviceOverview) -> Iterator[str]:
    """Yield a sentence for each revoked device that the relay has not shut yet."""
    for name in shown.to_close:
        words = _CLOSE_TOKEN_REFUSED_SENTENCE if name in shown.refused else _NOT_SHUT_YET_SENTENCE
        yield translated(words).format(name=name)


_REVOKED_SENTENCE: Final = translatable(
    "{name} is revoked: no passphrase opens its vault any more, unless it had an offline window."
)
_OFF_LIST_SENTENCE: Final = translatable(
    "{name} is off your list, and people are told as soon as their relays answer."
)
_OFFLINE_WINDOW_SENTENCE: Final = translatable(
    "If you had allowed it to open without its relay, the right passphrase opens it until that "
    "time is over, at most {hours} hours after you allowed it; a thief's own program "
    "need not keep to that."
)
_UNFINISHED_REVOCATION_SENTENCES: Final = {
    RevocationState.WAITS: (
        translatable(
            "Your relay has not confirmed yet that its vault is shut; it is asked again whenever "
            "this device fetches. To see its state: entrenous device list"
        ),
    ),
    RevocationState.REFUSED: (
        translatable(
            "Its vault is NOT shut: your relay does not accept the code that this device has for "
            "it. The code was replaced, and the lost device had no time to tell this one. Another "
            "device of yours may have the newest, and shuts it as soon as it hears. Fetch on each "
            "of them, now: entrenous inbox"
        ),
        translatable(
            "If you have a recovery sheet that was written on it, the newest one shuts it too: "
            "entrenous device revoke --lost --recovery FILE"
        ),
    ),
    RevocationState.ELSEWHERE: (
        translatable(
            "Its vault is NOT shut: this device never learned the code that deletes its part at "
            "the relay. The device of yours that linked it has the code, and shuts it as soon as "
            "it hears of this. Fetch on that one, now: entrenous inbox"
        ),
    ),
}
_REVOKED_BY_SHEET_SENTENCES: Final = (
    translatable(
        "The device that this recovery sheet was written on is revoked: no passphrase opens its "
        "vault any more, unless it had an offline window."
    ),
    translatable(
        "People are NOT told: the sheet knows neither them nor your list of devices. What they "
        "send to it is refused from now on, and their programs still list that device as yours."
    ),
    translatable(
        "If that device had moved to another relay after the sheet was written, it is not "
        "revoked: repeat this with the sheet that was written after the move."
    ),
)


def _offline_window_in_words() -> str:
    return translated(_OFFLINE_WINDOW_SENTENCE).format(hours=OFFLINE_UNLOCK_HOURS_MAX)


def describe_revocation(revoked: RevokedDeviceResult) -> Iterator[str]:
    """Yield what the user reads about a revoked device, a paragraph at a time."""
    if revoked.shut is RevocationState.DONE:
        yield translated(_REVOKED_SENTENCE).format(name=revoked.name)
    else:
        yield translated(_OFF_LIST_SENTENCE).format(name=revoked.name)
        yield from map(translated, _UNFINISHED_REVOCATION_SENTENCES[revoked.shut])
    yield _offline_window_in_words()


def describe_revocation_by_sheet() -> Iterator[str]:
    """Yield what the user reads about a device that was shut with its recovery sheet alone."""
    first, *others = map(translated, _REVOKED_BY_SHEET_SENTENCES)
    yield from (first, _offline_window_in_words(), *others)


def describe_joining(joined: Identity) -> Iterator[str]:
    """Yield what the user reads after a device without a relay was connected to one."""
    if joined.home is not None:
        words = translated("This device is connected to {relay}. You can send from here now.")
        yield words.format(relay=joined.home.relay_url)
    yield translated(
        "From now on, your passphrase opens this device only with an answer from the relay, which "
        "stops anybody who guesses after ten tries. So write a recovery sheet: entrenous device "
        "recovery --out FILE"
    )


def describe_move(moved: MoveResult) -> Iterator[str]:
    """Yield what the user reads after this device moved to another relay."""
    yield translated("This device is at {relay} now.").format(relay=moved.relay_url)
    yield translated(_NOT_EVERYBODY_TOLD_SENTENCE if moved.letters else _EVERYBODY_TOLD_SENTENCE)
    yield translated("What still comes to {relay} is fetched until {time}.").format(
        relay=moved.before, time=moment_in_words(moved.until)
    )
    yield translated("Links from before lead there; make new ones: entrenous invite")
    yield translated(
        "A recovery sheet from before no longer opens this device; write a new one: entrenous "
        "device recovery --out FILE"
    )


_NOT_EVERYBODY_TOLD_SENTENCE: Final = translatable(
    "Not everybody has been told yet; the rest happens whenever this device fetches."
)
_EVERYBODY_TOLD_SENTENCE: Final = translatable("People were told, and write to you there.")


def describe_passphrase_change(before: UnlockedVault, after: UnlockedVault) -> Iterator[str]:
    """Yield what a changed passphrase means for this device and for older copies of its folder."""
    yield translated("From now on the new passphrase opens this device.")
    yield translated(_older_copies_in_words(before, after))
    if after.terms.lock is not None:
        yield translated(
            "An earlier recovery sheet no longer opens it without the relay; write a new one: "
            "entrenous device recovery --out FILE"
        )


def are_older_copies_shut(before: UnlockedVault, after: UnlockedVault) -> bool:
    """Return whether no passphrase opens older copies of the folder after a passphrase change."""
    return _older_copies_in_words(before, after) == _OLD_BACKUPS_UNOPENABLE_SENTENCE


_OLD_BACKUPS_UNOPENABLE_SENTENCE: Final = translatable(
    "Older copies of its folder, as in a backup, are shut: no passphrase opens them now, except "
    "those that were made while it had an offline window."
)
_COPIES_SHUT_LATER_SENTENCE: Final = translatable(
    "Older copies of its folder, as in a backup, still open with the old one, to read. They are "
    "shut when this device opens next and reaches its relay: entrenous inbox"
)
_COPIES_WHILE_MOVING_SENTENCE: Final = translatable(
    "Older copies of its folder, as in a backup, still open with the old one, to read, for up to "
    "30 days: the relay that you move away from answers for them."
)
_COPIES_NEVER_SHUT_SENTENCE: Final = translatable(
    "Older copies of its folder, as in a backup, still open with the old one, because no relay has "
    "a part of its lock."
)


def _older_copies_in_words(before: UnlockedVault, after: UnlockedVault) -> str:
    if after.terms.lock is None:
        return _COPIES_NEVER_SHUT_SENTENCE
    if after.terms.lock == before.terms.lock:
        return _COPIES_WHILE_MOVING_SENTENCE
    return _COPIES_SHUT_LATER_SENTENCE if after.part.outdated else _OLD_BACKUPS_UNOPENABLE_SENTENCE


ADVICE_AFTER_WRONG_TRIES: Final = translatable(
    "If the wrong tries were not yours, somebody may have a copy of its folder. Once it is open, a "
    "new passphrase shuts all older copies: entrenous passphrase change"
)
