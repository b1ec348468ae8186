"""Send a message: the whole of it, from the guard to the relay's acknowledgement.

Everything that can fail without the network is done first. Then, in one transaction, the ledger,
the letters and the outbox are written; from there on nothing is lost, whatever happens to this
process, the network or the relay. Copies are made and sealed for one device after the other, so
that memory does not grow with the number of people.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from entrenous.model.card import Enforces
from entrenous.model.ids import ID_BYTES, MessageId, MessageName, RecipientId
from entrenous.model.letter import PersonHead
from entrenous.model.message import (
    DoesNotPromise,
    Draft,
    HeldHere,
    NotToAll,
    NotYetToBeSent,
    Undone,
    WaitsInOutbox,
)
from entrenous.model.person import TwoLists
from entrenous.model.relay_problem import WaitsForClock
from entrenous.model.sealed_copy import Departure, SealedCopy
from entrenous.model.secret import Secret
from entrenous.model.window import OutOfTokens
from entrenous.ports import Device
from entrenous.send.acquaintance.people import contacts_named
from entrenous.send.devices.self import refuse_unready
from entrenous.send.drawers import SEALED, take_all
from entrenous.send.flush import Flushed, flush
from entrenous.send.guard import insist
from entrenous.send.kinds.plan import plan_of
from entrenous.send.letter.sessions import within_reach
from entrenous.send.letter.write import Addressee, addressees
from entrenous.send.message.call_off import call_off
from entrenous.send.message.make import make_message
from entrenous.send.message.naming import new_name
from entrenous.send.message.seal import Sending
from entrenous.send.message.watch import UNWATCHED, Counted, Stage, Watch
from entrenous.send.outbox import let_go, waiting_bytes

# What another try does nothing about, however soon; each says itself what does.
_NOT_BY_TRYING: Final = (NotYetToBeSent, OutOfTokens, TwoLists, WaitsForClock)


@dataclass(frozen=True, slots=True)
class Posted:
    """A message that the relays have on disk: its name, and how many devices of whom it went to."""

    name: MessageName
    devices: Mapping[RecipientId, int]


def send_message(draft: Draft, device: Device, watch: Watch = UNWATCHED) -> Posted:
    """Send a draft; returns once every relay has every copy on disk.

    Until it is sealed nothing of it is there; then, for ``draft.undo_s`` seconds, ``watch`` waits
    and nothing leaves.

    Raises:
        GuardSaysStop, ConfirmsNobody, UnknownPerson, YouBlocked, TwoLists, WeAreTooOld,
        TheyAreTooOld, DoesNotPromise, OfflineDevice,
        RolledBack, NotConfirmed; what the kinds of its files raise (send/kinds/); TooLarge.
        WaitsInOutbox: it is sealed and a relay is away, or nobody waited until it may leave.
        NotToAll: every copy for somebody was refused.
        Undone: it was stopped, and is as if it had never been begun; StoppedWhileSending when that
        cannot be had any more.
        KeyboardInterrupt: it was stopped before there was anything to undo, or once all was done.
    """
    refuse_unready(device)
    insist(draft, device)
    contacts = contacts_named(draft.to, device)
    every = tuple(one for contact in contacts for one in addressees(contact, device))
    _refuse_without_promise(draft, every)
    preparing = Counted(Stage.PREPARING, sum(map(len, draft.files)), watch)
    try:
        plan = plan_of(draft.files, draft.size_px, device, preparing)
    except KeyboardInterrupt:
        raise Undone from None  # nothing is there yet
    to = within_reach(every, device)
    sending = _sending(draft, to, device)
    try:
        with device.vault.together():
            release_at = make_message(draft, plan, to, sending, device, watch)
        if release_at is not None and watch.wait(release_at) and device.clock.now() < release_at:
            let_go(sending.message, device)
        sent = Counted(Stage.SENDING, waiting_bytes(device), watch)
        left = _those_that_left(sending, flush(device, sent.more), device)
    except KeyboardInterrupt:
        call_off(sending.message, device)
        raise Undone from None  # certain here alone: a Ctrl-C that comes later undoes nothing
    return Posted(sending.name, dict(Counter(copy.to for copy in left)))


def _refuse_without_promise(draft: Draft, to: tuple[Addressee, ...]) -> None:
    """What may be seen only so often goes to programs that promise to see to it."""
    if draft.policy.opens is None:
        return
    others = [one.contact.name for one in to if Enforces.VIEW_ONCE not in one.key.enforces]
    if others:
        raise DoesNotPromise(names=", ".join(dict.fromkeys(others)))


def _those_that_left(sending: Sending, flushed: Flushed, device: Device) -> list[SealedCopy]:
    """The copies of this message that their relays have; raise what kept all of somebody's here.

    Other letters' troubles are no news about it. Neither is one device that takes nothing more, if
    another one of the same person has it: it may have been revoked an hour ago.
    """
    every = take_all(SealedCopy, SEALED, device.vault)
    copies = [copy for copy in every if copy.message == sending.message]
    left = [copy for copy in copies if copy.acknowledged]
    ended = (*left, *(copy for copy in copies if copy.departure is Departure.REFUSED))
    stayed = [copy for copy in copies if copy not in ended]
    have = {copy.to for copy in (*left, *stayed)}
    refused = [copy for copy in copies if copy.to not in have]
    if refused:
        raise NotToAll(
            name=sending.name,
            refused=_names(refused),
            waits=_names(stayed),
            has=_names(left),
            why=flushed.stayed[refused[0].envelope],
        )
    if stayed:
        why = flushed.stayed[stayed[0].envelope]
        waits = HeldHere if isinstance(why, _NOT_BY_TRYING) else WaitsInOutbox
        raise waits(name=sending.name, why=why)
    return left


def _names(copies: list[SealedCopy]) -> str:
    return ", ".join(dict.fromkeys(str(copy.to) for copy in copies)) or "nobody"


def _sending(draft: Draft, to: tuple[Addressee, ...], device: Device) -> Sending:
    return Sending(
        message=MessageId(device.dice.token(ID_BYTES)),
        name=new_name(device),
        sent_at=device.clock.now(),
        policy=replace(draft.policy, expires_at=draft.policy.expires_at.replace(microsecond=0)),
        audience=tuple(sorted((one.contact.person.id, one.key.device) for one in to)),
        heads=_heads(to),
        reply=draft.reply,
        # Of several it would say of each recipient that she is in one of them only.
        circle=draft.circles[0] if len(draft.circles) == 1 else None,
        groups=Secret(device.dice.token(32)),
    )


def _heads(to: tuple[Addressee, ...]) -> tuple[PersonHead, ...]:
    """The lists that we know of everybody who gets a copy, each person once, sorted; of one who has
    a device that is yet to come along, that which it knows.
    """
    newest_first = sorted(to, key=lambda one: one.contact.person.epoch, reverse=True)
    people = {one.contact.person.id: one.contact.person for one in newest_first}
    return tuple(PersonHead(who, people[who].epoch, people[who].head) for who in sorted(people))
