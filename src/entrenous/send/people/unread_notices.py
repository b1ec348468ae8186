"""Notices that stay until they are dismissed: links that were used, keys that changed, and letters
that could not be opened.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from entrenous.device.device import Device
from entrenous.device.vault_tables import (
    KEY_CHANGE,
    LINK_NOTICE,
    UNDECRYPTABLE,
)
from entrenous.send.letter.arrivals import take_undecryptable
from entrenous.send.people.notices import (
    describe_contact_change,
    describe_invite_notice,
    describe_undecryptable,
)
from entrenous.send.people.people_nouns import (
    KEY_CHANGE_TABLE,
    LINK_NOTICE_TABLE,
)

_LETTERS_NOTICE_ID = "letters"


@dataclass(frozen=True, slots=True)
class UnreadNotice:
    """A notice in words; ``id`` identifies it for :func:`dismiss_notice`."""

    id: str
    words: str


def unread_notices(device: Device) -> tuple[UnreadNotice, ...]:
    """Return the notices that were not dismissed, links first; nothing is removed."""
    return (*_link_notices(device), *_key_change_notices(device), *_letter_notices(device))


def dismiss_notice(number: str, device: Device) -> None:
    """Remove a notice that the user has read; a missing one is no error."""
    if number == _LETTERS_NOTICE_ID:
        take_undecryptable(device)
        return
    table, _, key = number.partition(" ")
    if table in {LINK_NOTICE, KEY_CHANGE}:
        device.vault.drop(table, key)


def _link_notices(device: Device) -> Iterator[UnreadNotice]:
    for key in LINK_NOTICE_TABLE.keys(device.vault):
        notice = LINK_NOTICE_TABLE.load(key, device.vault)
        if notice is not None:
            yield UnreadNotice(f"{LINK_NOTICE} {key}", describe_invite_notice(notice))


def _key_change_notices(device: Device) -> Iterator[UnreadNotice]:
    for key in KEY_CHANGE_TABLE.keys(device.vault):
        changed = KEY_CHANGE_TABLE.load(key, device.vault)
        if changed is not None:
            yield UnreadNotice(f"{KEY_CHANGE} {key}", describe_contact_change(changed))


def _letter_notices(device: Device) -> Iterator[UnreadNotice]:
    count = len(device.vault.keys(UNDECRYPTABLE))
    if count:
        yield UnreadNotice(_LETTERS_NOTICE_ID, describe_undecryptable(count))
