"""Fetch what waits at the relay (docs/spec/letter.md section 7).

Each letter is opened and its effect stored in one transaction, and only then is the relay told that
it may forget it: a crash in between means that it comes again, and is recognised.
"""

from dataclasses import dataclass

from entrenous.model.envelope import Waiting
from entrenous.model.errors import EntrenousError, Malformed, Unproven
from entrenous.model.person import NotInvited, OnThisMachine
from entrenous.ports import Device
from entrenous.send.acquaintance.invite import answer_greetings
from entrenous.send.devices.self import Me, refuse_unready, who_am_i
from entrenous.send.drawers import SEEN
from entrenous.send.letter.arrivals import act_on
from entrenous.send.letter.aside import put_aside, take_newer
from entrenous.send.letter.prekeys import look_after_prekeys
from entrenous.send.letter.read import read_letter
from entrenous.send.open import finish_openings
from entrenous.send.outbox import flush


@dataclass(frozen=True, slots=True)
class Fetched:
    """How many letters came, and what kept letters of ours from leaving meanwhile."""

    came: int
    problems: tuple[EntrenousError, ...]


def fetch_messages(device: Device) -> Fetched:
    """Send what waits here, and fetch what waits there.

    What another relay refuses, or does not answer, is a problem and stops nothing.

    Raises:
        OfflineDevice; RelayUnreachable or a refusal, when it is our own relay's.
        RolledBack, NotConfirmed: no ratchet of this device may move (any more, or yet).
    """
    me = who_am_i(device)
    refuse_unready(device)
    problems = flush(device).problems
    came = _fetch_all(me, device)
    finish_openings(device)
    answer_greetings(device)
    problems += (*flush(device).problems, *take_newer(device))
    look_after_prekeys(device)
    return Fetched(came, problems)


def _fetch_all(me: Me, device: Device) -> int:
    came, after, home = 0, 0, me.home
    while page := device.courier.waiting(home.relay_url, home.mailbox, home.owner, after):
        before = after
        for waiting in page:
            came += _take_in(waiting, me, device)
            device.courier.acknowledge(home.relay_url, home.mailbox, home.owner, waiting.id)
            after = max(after, waiting.sequence)
        if after == before:
            break  # the relay repeats itself
    return came


def _take_in(waiting: Waiting, me: Me, device: Device) -> int:
    key = waiting.id.hex()
    if device.vault.get(SEEN, key) is not None:
        return 0
    try:
        with device.vault.together():
            act_on(read_letter(waiting, me, device), waiting, device)
            device.vault.put(SEEN, key, b"")
    except (NotInvited, OnThisMachine):
        device.vault.put(SEEN, key, b"")
    except (Malformed, Unproven):
        # One bad letter must not stop the ones behind it, nor come again for ever.
        with device.vault.together():
            put_aside(key, device)
            device.vault.put(SEEN, key, b"")
    return 1
