"""What most commands do first: send what waits, fetch what came, and say what went wrong in a line.

Nothing that goes wrong here keeps a command from doing what it was asked for.
"""

from entrenous.faces.cli.changes import words_for, words_for_link
from entrenous.faces.cli.output import hint, hint_at
from entrenous.model.errors import EntrenousError
from entrenous.model.message import OfflineDevice
from entrenous.ports import Device
from entrenous.send.acquaintance.links import take_link_notices
from entrenous.send.acquaintance.notices import take_changes
from entrenous.send.fetch import fetch_messages
from entrenous.send.letter.aside import take_from_aside


def catch_up(device: Device) -> EntrenousError | None:
    """Fetch; what our own relay answered instead, if it did not let us: its silence is not told.

    Raises:
        OfflineDevice.
    """
    try:
        hint_at(fetch_messages(device).problems)
    except OfflineDevice:
        raise
    except EntrenousError as error:
        hint_at([error])
        return error
    finally:
        _hint_at_unreadable(take_from_aside(device))
        for changed in take_changes(device):
            hint(words_for(changed))
        for notice in take_link_notices(device):
            hint(words_for_link(notice))
    return None


def _hint_at_unreadable(count: int) -> None:
    if count:
        letters = "1 letter" if count == 1 else f"{count} letters"
        hint(
            f"{letters} could not be opened. If you miss something, ask its sender to send it "
            "again."
        )
