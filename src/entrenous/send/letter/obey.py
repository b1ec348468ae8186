"""Obey a sender's recall: forget the key and the files of her message."""

from typing import Final

from entrenous.model.ids import PersonId
from entrenous.model.notes import RecallNote
from entrenous.model.received import InboxState, Received
from entrenous.ports import Device
from entrenous.send.acquaintance.people import contact_of
from entrenous.send.drawers import INBOX, RECALLED, inbox_key, take
from entrenous.send.inbox import settle
from entrenous.send.moment import LONGEST_ON_ITS_WAY
from entrenous.send.odd_clock import believed_now
from entrenous.spec import LETTERS_WAITING_MAX

_KEPT_S: Final = int(LONGEST_ON_ITS_WAY.total_seconds())


def obey(note: RecallNote, sender: PersonId, device: Device) -> None:
    """Forget a message that its own sender took back; a note about anybody else's means nothing.

    One that has not come yet is remembered, so that it is forgotten when it does.
    """
    key = inbox_key(sender, note.message)
    received = take(Received, INBOX, key, device.vault)
    if received is not None:
        settle(received, InboxState.TAKEN_BACK, device)
        return
    contact = contact_of(sender, device)
    if contact is not None and not contact.blocked:  # of others nothing comes
        _remember(key, sender, device)


def _remember(key: str, sender: PersonId, device: Device) -> None:
    """For as long as any relay keeps what may still come, and of one person not more than would
    wait for us there.
    """
    now, since = int(device.clock.now().timestamp()), int(believed_now(device).timestamp())
    kept = {
        one: device.vault.get(RECALLED, one) for one in device.vault.keys(RECALLED, sender.hex())
    }
    by_age = sorted(kept, key=lambda one: int(kept[one] or 0))
    old = [one for one in by_age if int(kept[one] or 0) < since - _KEPT_S]
    for one in old or by_age[: max(0, len(by_age) + 1 - LETTERS_WAITING_MAX)]:
        device.vault.drop(RECALLED, one)
    device.vault.put(RECALLED, key, str(now).encode())
