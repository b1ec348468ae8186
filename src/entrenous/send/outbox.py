"""The outbox: what was sealed leaves in order, and stays here until the relay has it on disk."""

from dataclasses import replace
from typing import Final

from entrenous.model.envelope import (
    DamagedBlob,
    NotUnderstood,
    ProtocolTooOld,
    SendToken,
    TooMany,
)
from entrenous.model.errors import EntrenousError, Unreachable
from entrenous.model.message import SealedCopy
from entrenous.model.outbox import Posting
from entrenous.ports import Device
from entrenous.send.drawers import CHORE, OUTBOX, SEALED, UNDELIVERABLE, lay, take, take_all
from entrenous.send.self import who_am_i
from entrenous.send.setup import finish_set_up

# After these a posting goes on waiting: the relay is away, busy or newer, or the way damaged it.
NOT_NOW: Final = (Unreachable, TooMany, ProtocolTooOld, NotUnderstood, DamagedBlob)


def put_out(posting: Posting, device: Device) -> None:
    """Add a posting; call it in the same transaction that moves the ratchet."""
    lay(posting, OUTBOX, f"{posting.order:012d}", device.vault)


def next_order(device: Device) -> int:
    """The number of the next posting: after all that wait."""
    orders = [int(key) for key, _ in device.vault.items(OUTBOX)]
    return max(orders, default=0) + 1


def flush(device: Device) -> int:
    """Post everything that waits; the number of postings that left.

    A relay that does not answer keeps its own postings waiting and no others. A posting that a
    relay refuses is put aside, so that it never stops the ones behind it; one that it only can't
    take now goes on waiting.

    Raises:
        RelayUnreachable, or the first refusal, once everything else was tried.
    """
    finish_set_up(device)
    problems, left = _do_chores(device), 0
    held_up = set[str]()  # relays, and mailboxes, to which nothing may leave now
    for posting in list(take_all(Posting, OUTBOX, device.vault)):
        ways = {posting.relay_url, posting.envelope.mailbox.hex()}
        if ways & held_up:
            continue
        if posting.needs is not None and device.vault.get(CHORE, posting.needs.hex()) is not None:
            held_up.add(posting.envelope.mailbox.hex())
            continue
        try:
            _post(posting, device)
        except EntrenousError as error:
            problems.append(error)
            held_up |= _after(error, posting, device)
        else:
            left += 1
    if problems:
        # A refusal is told once; that a relay is silent will be told again.
        raise min(problems, key=lambda problem: isinstance(problem, Unreachable))
    return left


def _after(error: EntrenousError, posting: Posting, device: Device) -> set[str]:
    """What this failure holds up; a refusal holds up nothing, but its posting is put aside."""
    if not isinstance(error, NOT_NOW):
        _put_aside(posting, device)
        return set()
    on_the_way = isinstance(error, (NotUnderstood, DamagedBlob))
    return set() if on_the_way else {posting.relay_url}


def drop_postings(envelope: bytes, device: Device) -> None:
    """Forget a posting that has not left; it need not exist."""
    for posting in list(take_all(Posting, OUTBOX, device.vault)):
        if posting.envelope.id == envelope:
            _clear(posting, device)


def _do_chores(device: Device) -> list[EntrenousError]:
    """Register the tokens that letters in the outbox promise, before these leave."""
    problems = list[EntrenousError]()
    for token in list(take_all(SendToken, CHORE, device.vault)):
        home = who_am_i(device).home
        try:
            device.courier.register_token(home.relay_url, home.mailbox, home.owner, token)
        except EntrenousError as error:
            problems.append(error)
            break
        device.vault.drop(CHORE, token.lock.hex())
    return problems


def _post(posting: Posting, device: Device) -> None:
    for deposit, kept in posting.blobs:
        data = device.vault.kept(kept)
        device.courier.bring_blob(posting.relay_url, posting.token, deposit, data)
    device.courier.post(posting.relay_url, posting.token, posting.envelope)
    with device.vault.together():
        key = posting.envelope.id.hex()
        sealed = take(SealedCopy, SEALED, key, device.vault)
        if sealed is not None:
            lay(replace(sealed, acknowledged=True), SEALED, key, device.vault)
        device.vault.drop(OUTBOX, f"{posting.order:012d}")
    for _, kept in posting.blobs:
        device.vault.forget(kept)


def _put_aside(posting: Posting, device: Device) -> None:
    with device.vault.together():
        lay(posting, UNDELIVERABLE, posting.envelope.id.hex(), device.vault)
        device.vault.drop(OUTBOX, f"{posting.order:012d}")


def _clear(posting: Posting, device: Device) -> None:
    device.vault.drop(OUTBOX, f"{posting.order:012d}")
    for _, kept in posting.blobs:
        device.vault.forget(kept)
