"""What a person reads about their devices: their state, a revocation, a move, a new passphrase."""

from collections.abc import Iterator
from typing import Final

from entrenous.base.language import moment_in_words, translatable, translated
from entrenous.base.limits import OFFLINE_UNLOCK_HOURS_MAX
from entrenous.device.identities import Identity
from entrenous.device.store.vault_folder import UnlockedVault
from entrenous.send.devices.move_device import MoveResult
from entrenous.send.devices.own_devices import DeviceOverview, RevocationResult, RevocationState

_NOT_REVOKED_YET_SENTENCE: Final = translatable(
    "{name} is not revoked at your relay yet. This device asks the relay again whenever it fetches."
)
_CLOSE_TOKEN_REFUSED_SENTENCE: Final = translatable(
    "{name} is NOT revoked at your relay: the relay does not accept the code that "
    "this device has for it. Another device of yours, or a recovery sheet that was "
    "written on {name}, may have a newer code."
)


def not_yet_revoked_in_words(shown: DeviceOverview) -> Iterator[str]:
    """Yield a sentence for each revoked device whose revocation the relay has not confirmed."""
    for name in shown.to_close:
        words = (
            _CLOSE_TOKEN_REFUSED_SENTENCE if name in shown.refused else _NOT_REVOKED_YET_SENTENCE
        )
        yield translated(words).format(name=name)


_REVOKED_SENTENCE: Final = translatable(
    "{name} is revoked: no passphrase opens its vault any more, unless it had an offline window."
)
_REMOVED_FROM_LIST_SENTENCE: Final = translatable(
    "{name} is no longer on your list of devices, and the people you write to are "
    "notified as soon as their relays answer."
)
_OFFLINE_WINDOW_SENTENCE: Final = translatable(
    "If you had allowed the device to open without its relay, the right passphrase "
    "still opens it until that time is over, at most {hours} hours after you "
    "allowed it. A thief could use a program that ignores this limit."
)
_UNFINISHED_REVOCATION_SENTENCES: Final = {
    RevocationState.WAITS: (
        translatable(
            "Your relay has not confirmed yet that the vault of the lost device is locked "
            "for good. This device asks the relay again whenever it fetches. To see the "
            "state: entrenous device list"
        ),
    ),
    RevocationState.REFUSED: (
        translatable(
            "The vault of the lost device is NOT locked: your relay does not accept the "
            "code that this device has for it. The code was replaced by a newer one, which "
            "the lost device could not send here in time. Another device of yours may have "
            "the new code, and locks the vault as soon as it learns of this. On each of "
            "your devices, run now: entrenous inbox"
        ),
        translatable(
            "The newest recovery sheet that was written on the lost device can lock its "
            "vault too: entrenous device revoke --lost --recovery FILE"
        ),
    ),
    RevocationState.ELSEWHERE: (
        translatable(
            "The vault of the lost device is NOT locked: this device never received the "
            "code for it. The device of yours that linked the lost device has the code, and "
            "locks the vault as soon as it learns of this. On that device, run now: "
            "entrenous inbox"
        ),
    ),
}
_REVOKED_BY_SHEET_SENTENCES: Final = (
    translatable(
        "The device that this recovery sheet was written on is revoked: no passphrase opens its "
        "vault any more, unless it had an offline window."
    ),
    translatable(
        "People are NOT told: the sheet contains neither their names nor your list of "
        "devices. What they send to that device is refused from now on, but their "
        "programs still list it as yours."
    ),
    translatable(
        "If that device had moved to another relay after the sheet was written, it is not "
        "revoked: repeat this with the sheet that was written after the move."
    ),
)


def _offline_window_in_words() -> str:
    return translated(_OFFLINE_WINDOW_SENTENCE).format(hours=OFFLINE_UNLOCK_HOURS_MAX)


def describe_revocation(revoked: RevocationResult) -> Iterator[str]:
    """Yield what the user reads about a revoked device, a paragraph at a time."""
    if revoked.shut is RevocationState.DONE:
        yield translated(_REVOKED_SENTENCE).format(name=revoked.name)
    else:
        yield translated(_REMOVED_FROM_LIST_SENTENCE).format(name=revoked.name)
        yield from map(translated, _UNFINISHED_REVOCATION_SENTENCES[revoked.shut])
    yield _offline_window_in_words()


def describe_revocation_by_sheet() -> Iterator[str]:
    """Yield what the user reads about a device that was revoked with its recovery sheet alone."""
    first, *others = map(translated, _REVOKED_BY_SHEET_SENTENCES)
    yield from (first, _offline_window_in_words(), *others)


def describe_joining_relay(joined: Identity) -> Iterator[str]:
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
    yield translated("Messages that still arrive at {relay} are fetched until {time}.").format(
        relay=moved.before, time=moment_in_words(moved.until)
    )
    yield translated(
        "Your earlier invite links lead to the old relay; make new ones: entrenous invite"
    )
    yield translated(
        "An earlier recovery sheet no longer opens this device; write a new one: "
        "entrenous device recovery --out FILE"
    )


_NOT_EVERYBODY_TOLD_SENTENCE: Final = translatable(
    "Not everybody has been told yet. The others are told when this device next fetches."
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


def are_older_copies_locked_out(before: UnlockedVault, after: UnlockedVault) -> bool:
    """Return whether no passphrase opens older copies of the folder after a passphrase change."""
    return _older_copies_in_words(before, after) == _OLD_BACKUPS_UNOPENABLE_SENTENCE


_OLD_BACKUPS_UNOPENABLE_SENTENCE: Final = translatable(
    "Older copies of its folder, such as a backup, are locked for good: no "
    "passphrase opens them, except copies that were made while the device was "
    "allowed to open without its relay."
)
_OLD_BACKUPS_LOCKED_LATER_SENTENCE: Final = translatable(
    "Older copies of its folder, such as a backup, can still be opened and read "
    "with the old passphrase. They are locked for good when you next open this "
    "device and its relay answers: entrenous inbox"
)
_OLD_BACKUPS_WHILE_MOVING_SENTENCE: Final = translatable(
    "Older copies of its folder, such as a backup, can still be opened and read "
    "with the old passphrase for up to 30 days, because your old relay still helps "
    "to unlock them."
)
_OLD_BACKUPS_NEVER_LOCKED_SENTENCE: Final = translatable(
    "Older copies of its folder, such as a backup, can still be opened with the old "
    "passphrase, because no relay has a part of its lock."
)


def _older_copies_in_words(before: UnlockedVault, after: UnlockedVault) -> str:
    if before.terms.lock is None:
        return _OLD_BACKUPS_NEVER_LOCKED_SENTENCE
    if after.terms.lock == before.terms.lock:
        return _OLD_BACKUPS_WHILE_MOVING_SENTENCE
    return (
        _OLD_BACKUPS_LOCKED_LATER_SENTENCE
        if after.part.outdated
        else _OLD_BACKUPS_UNOPENABLE_SENTENCE
    )


ADVICE_AFTER_WRONG_PASSPHRASES: Final = translatable(
    "If the wrong tries were not yours, somebody may have a copy of the device's "
    "folder. Once the device is open, change its passphrase, which locks all older "
    "copies for good: entrenous passphrase change"
)
