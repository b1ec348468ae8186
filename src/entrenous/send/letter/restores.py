"""After a relay was restored from a backup: say again what it may have forgotten.

A backup is older than the relay that was lost, so what was taken back, dropped or registered since
is as it was before (docs/spec/relay.md section 12). The relay says when it was restored.
"""

from contextlib import suppress
from datetime import timedelta
from typing import Final

from entrenous.model.envelope import EnvelopeState
from entrenous.model.errors import EntrenousError
from entrenous.model.ids import PersonId
from entrenous.model.person import Contact
from entrenous.model.sealed_copy import SealedCopy
from entrenous.model.window import Withdrawal
from entrenous.ports import Device
from entrenous.send.devices.lists.at_relay import close_again, keep_close_token
from entrenous.send.devices.self import who_am_i
from entrenous.send.drawers import (
    CONTACT,
    RESTORED,
    SEALED,
    WITHDRAW,
    WITHDRAWN,
    take,
    take_all,
)
from entrenous.send.letter.prekeys import publish_prekeys
from entrenous.send.tokens.windows import promise, windows
from entrenous.spec import EXPIRY_DAYS_MAX

_REPEATED: Final = timedelta(days=EXPIRY_DAYS_MAX)
_ASK_AGAIN_S: Final = 6 * 3600


def look_for_restores(device: Device) -> None:
    """Ask our relays, now and then, whether they were restored, and repeat what they may not know.

    One that does not answer is asked the next time.
    """
    home = who_am_i(device).home.relay_url
    others = {one.person.relay_url for one in take_all(Contact, CONTACT, device.vault)}
    for url in sorted({home, *others}):
        with suppress(EntrenousError):
            _look(url, home, device)


def _look(url: str, home: str, device: Device) -> None:
    now = int(device.clock.now().timestamp())
    known = (device.vault.get(RESTORED, url) or b"-1 ").split(b" ")
    if 0 <= now - int(known[0]) < _ASK_AGAIN_S:
        return
    _, restored_at = device.courier.status(url)
    seen = b"" if restored_at is None else b"%d" % int(restored_at.timestamp())
    if seen not in (b"", known[1]):
        _withdraw_again(url, device)
        with device.vault.together():
            close_again(url, device.clock.now() - _REPEATED, device)
        if url == home:
            _tell_again(device)
    device.vault.put(RESTORED, url, b"%d %s" % (now, seen))


def _withdraw_again(url: str, device: Device) -> None:
    """Take back once more what was taken back at this relay lately."""
    since = device.clock.now() - _REPEATED
    for copy in list(take_all(SealedCopy, SEALED, device.vault)):
        ended = copy.state is EnvelopeState.TAKEN_BACK and copy.relay_url == url
        if ended and (copy.ended_at is None or copy.ended_at >= since):
            with suppress(EntrenousError):
                device.courier.withdraw(url, copy.envelope, copy.withdraw_token)


def _tell_again(device: Device) -> None:
    """Our own relay: tokens that were dropped lately are dropped, those that hold are registered,
    what deletes our mailbox is told and prekeys are brought, all once more.
    """
    since = device.clock.now() - _REPEATED
    with device.vault.together():
        keep_close_token(device)
        for key in device.vault.keys(WITHDRAWN):
            taken = take(Withdrawal, WITHDRAWN, key, device.vault)
            if taken is not None and taken.told_at is not None and taken.told_at >= since:
                device.vault.put(WITHDRAW, key, device.vault.get(WITHDRAWN, key) or b"")
        for whose, window in list(windows(device)):
            person = PersonId(bytes.fromhex(whose.split()[0]))
            promise(window, range(window.unseen, window.until), person, device)
    publish_prekeys(device)
