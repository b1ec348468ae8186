"""Tasks at our own relay that wait until it answers, and waiting for new letters.

After a relay was restored from a backup, what it may have forgotten is repeated.
"""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from entrenous.base.errors import EntrenousError, Expired, WaitsForClock
from entrenous.base.identifiers import PersonId
from entrenous.base.limits import EXPIRY_DAYS_MAX, WAKE_ASK_S
from entrenous.device.device import Device
from entrenous.device.identities import NEXT_CLOSE, who_am_i
from entrenous.device.sent_messages import Departure, SealedCopy
from entrenous.device.vault_tables import (
    RESTORED,
    SEALED,
    SELF,
    WITHDRAW,
    WITHDRAWN,
    load_record,
    load_records,
)
from entrenous.send.clock_sanity import believed_now
from entrenous.send.devices.own_key_bundle import (
    close_again,
    closed_at_relays,
    keep_close_token,
    tell_of_devices,
)
from entrenous.send.devices.sync_send import tell_siblings
from entrenous.send.letter.prekeys import publish_prekeys
from entrenous.send.outbox import clocks_differ
from entrenous.send.tokens.issue import issued_ranges, queue_registration, register_tokens
from entrenous.send.tokens.token_ranges import Withdrawal
from entrenous.wire.relay_nouns import EnvelopeState


def has_tokens_to_withdraw(device: Device) -> bool:
    """Whether our relay has yet to hear that a token shall not hold any longer."""
    return bool(device.vault.keys(WITHDRAW))


def do_relay_tasks(device: Device) -> list[EntrenousError]:
    """Register what letters in the outbox promise, and withdraw what was taken back.

    What our relay refuses, or does not answer, is a chore again next time. When another token
    deletes our mailbox from now on, letters that tell our other devices lie in the outbox then:
    until they have left, nobody could shut this device if it were lost.
    """
    changes = device.vault.get(SELF, NEXT_CLOSE) is not None
    problems = tell_of_devices(device)
    if changes and device.vault.get(SELF, NEXT_CLOSE) is None:
        tell_siblings(device)
    try:
        register_tokens(device)
    except Expired as why:
        home = who_am_i(device).home
        return [clocks_differ(WaitsForClock, why, home.relay_url, device), *problems]
    except EntrenousError as error:
        return [error, *problems]
    return problems


def wait_for_letter(seconds: int, device: Device) -> bool:
    """Whether a letter waits at our relay, or comes within so many seconds. What it is, and from
    whom, shows only when it is fetched.

    Raises:
        OfflineDevice, RelayUnreachable.
    """
    home = who_am_i(device).home
    for left in range(seconds, -1, -WAKE_ASK_S):
        if device.courier.wake(home.relay_url, home.mailbox, home.owner, min(left, WAKE_ASK_S)):
            return True
    return False


_REPEATED: Final = timedelta(days=EXPIRY_DAYS_MAX)
_ASK_AGAIN_S: Final = 6 * 3600
_AFTER_SILENCE_S: Final = 3600  # who is silent may take a minute to be so, with our vault held open


def repeat_after_restore(device: Device) -> None:
    """Ask our relays, now and then, whether they were restored, and repeat what they may not know.

    Asked are our own and those at which we have something to repeat, and no other: whose relay it
    is learns when we are at our device, and from where. One that does not answer is asked an hour
    later.
    """
    home = who_am_i(device).home.relay_url
    known = dict(device.vault.items(RESTORED))
    if home in known and not any(_is_due(record, device) for record in known.values()):
        return  # the copies that were sent are many, and are read through only when it is time
    relays = {home, *_where_we_repeat(device)}
    for url in known.keys() - relays:
        device.vault.drop(RESTORED, url)
    for url in sorted(relays):
        if _is_due(known.get(url), device):
            with suppress(EntrenousError):
                _look(url, home, device)


def _where_we_repeat(device: Device) -> set[str]:
    # One without a date of ours is taken back only as far as its relay says so, and that is no
    # reason to call there for ever.
    taken_back = {copy.relay_url for copy in _taken_back(device) if copy.ended_at is not None}
    return taken_back | closed_at_relays(_since(device), device)


def _is_due(record: bytes | None, device: Device) -> bool:
    """Whether a relay is to be asked, by what was written down of it the last time."""
    if record is None:
        return True
    return not 0 <= _now_s(device) - int(record.split(b" ")[0]) < _ASK_AGAIN_S


def _look(url: str, home: str, device: Device) -> None:
    now = _now_s(device)
    _, known = (device.vault.get(RESTORED, url) or b"-1 ").split(b" ")
    device.vault.put(RESTORED, url, b"%d %s" % (now + _AFTER_SILENCE_S - _ASK_AGAIN_S, known))
    _, restored_at = device.courier.status(url)
    seen = b"" if restored_at is None else b"%d" % int(restored_at.timestamp())
    if seen not in (b"", known):
        _withdraw_again(url, device)
        with device.vault.together():
            close_again(url, _since(device), device)
        if url == home:
            _tell_again(device)
    device.vault.put(RESTORED, url, b"%d %s" % (now, seen))


def _withdraw_again(url: str, device: Device) -> None:
    """Take back once more what was taken back at this relay lately."""
    for copy in list(_taken_back(device)):
        if copy.relay_url == url:
            with suppress(EntrenousError):
                device.courier.withdraw(url, copy.envelope, copy.withdraw_token)


def _taken_back(device: Device) -> Iterator[SealedCopy]:
    """What was taken back lately, or we do not know when; not what never left this device."""
    since = _since(device)
    for copy in load_records(SealedCopy, SEALED, device.vault):
        ended = copy.state is EnvelopeState.TAKEN_BACK and copy.departure is not Departure.WAITING
        if ended and (copy.ended_at is None or copy.ended_at >= since):
            yield copy


def _since(device: Device) -> datetime:
    """What is lately: a relay that was restored is heard of once, so what an odd clock calls long
    ago is repeated too.
    """
    return believed_now(device) - _REPEATED


def _now_s(device: Device) -> int:
    return int(device.clock.now().timestamp())


def _tell_again(device: Device) -> None:
    """Our own relay: tokens that were dropped lately are dropped, those that hold are registered,
    what deletes our mailbox is told and prekeys are brought, all once more.
    """
    since = _since(device)
    with device.vault.together():
        keep_close_token(device)
        for key in device.vault.keys(WITHDRAWN):
            taken = load_record(Withdrawal, WITHDRAWN, key, device.vault)
            if taken is not None and taken.told_at is not None and taken.told_at >= since:
                device.vault.put(WITHDRAW, key, device.vault.get(WITHDRAWN, key) or b"")
        for whose, window in list(issued_ranges(device)):
            person = PersonId(bytes.fromhex(whose.split()[0]))
            queue_registration(window, range(window.unseen, window.until), person, device)
    publish_prekeys(device)
