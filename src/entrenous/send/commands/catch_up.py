"""The first step of many commands: fetch letters, send the outbox, and print notices, for example
about changed keys. Also the sentences that say what a recall cannot do.
"""

from typing import Final

from entrenous.base.errors import EntrenousError
from entrenous.base.language import translatable
from entrenous.device.device import Device
from entrenous.device.lock_errors import DeviceWithoutRelay
from entrenous.send.fetch import fetch_messages
from entrenous.send.letter.arrivals import take_undecryptable_count
from entrenous.send.people.contact_history import take_contact_changes
from entrenous.send.people.invite import take_invite_notices
from entrenous.send.people.notices import (
    describe_contact_change,
    describe_invite_notice,
    describe_undecryptable_letters,
)
from entrenous.terminal.output import hint, hint_problems_except_unreachable


def fetch_and_print_notices(device: Device) -> EntrenousError | None:
    """Fetch letters, and print notices. If the fetch fails, for example because our own relay does
    not answer, print the error and return it.

    Raises:
        DeviceWithoutRelay.
    """
    try:
        hint_problems_except_unreachable(fetch_messages(device).problems)
    except DeviceWithoutRelay:
        raise
    except EntrenousError as error:
        hint_problems_except_unreachable([error])
        return error
    finally:
        _hint_about_undecryptable_letters(take_undecryptable_count(device))
        for changed in take_contact_changes(device):
            hint(describe_contact_change(changed))
        for notice in take_invite_notices(device):
            hint(describe_invite_notice(notice))
    return None


def _hint_about_undecryptable_letters(count: int) -> None:
    if count:
        hint(describe_undecryptable_letters(count))


#: Printed after a message was sent, and below a list of sent messages.
COPIES_DISCLAIMER: Final = translatable(
    "Until a copy is first opened, taking it back and its expiry are enforced by cryptography; "
    "after that, by the program of whoever opened it."
)
#: Printed below a list of received messages.
MESSAGES_DISCLAIMER: Final = translatable(
    "Until you first open a message, taking it back and its expiry are enforced by cryptography; "
    "after that, by your program."
)
