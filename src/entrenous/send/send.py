"""Send a message: from the guard to the relay's acknowledgement; cancel it while it is being sent."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from entrenous.base.errors import WaitsForClock
from entrenous.base.identifiers import ID_BYTES, BlobId, MessageId, MessageName, RecipientId
from entrenous.base.identity import Enforces
from entrenous.base.secret import Secret
from entrenous.device.device import Device
from entrenous.device.identities import refuse_unready
from entrenous.device.sent_messages import Departure, Message, SealedCopy, UnknownMessage
from entrenous.device.vault_tables import COVERED, SEALED, load_records
from entrenous.send.conversations import forget_sent
from entrenous.send.flush import Flushed, flush
from entrenous.send.guard import require_answers
from entrenous.send.inbox import new_name
from entrenous.send.letter.letter_nouns import PersonHead
from entrenous.send.letter.sessions import with_sessions
from entrenous.send.letter.write import Addressee, addressees
from entrenous.send.message.draft import (
    DoesNotPromise,
    Draft,
    HeldHere,
    NotToAll,
    NotYetToBeSent,
    StoppedWhileSending,
    Undone,
    WaitsInOutbox,
)
from entrenous.send.message.file_plan import plan_of
from entrenous.send.message.make import Sending, make_message
from entrenous.send.message.states import can_be_called_off
from entrenous.send.message.transfer_progress import UNWATCHED, Counted, Stage, TransferWatch
from entrenous.send.outbox import drop_outbox_items, release_message, waiting_bytes
from entrenous.send.people.keep_contacts import contacts_named
from entrenous.send.people.people_nouns import TwoLists
from entrenous.send.tokens.token_ranges import OutOfTokens

# What another try does nothing about, however soon; each says itself what does.
_NOT_BY_TRYING: Final = (NotYetToBeSent, OutOfTokens, TwoLists, WaitsForClock)


@dataclass(frozen=True, slots=True)
class Posted:
    """A message that the relays have on disk: its name, and how many devices of whom it went to."""

    name: MessageName
    devices: Mapping[RecipientId, int]


def send_message(draft: Draft, device: Device, watch: TransferWatch = UNWATCHED) -> Posted:
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
    require_answers(draft, device)
    contacts = contacts_named(draft.to, device)
    every = tuple(one for contact in contacts for one in addressees(contact, device))
    _refuse_without_promise(draft, every)
    preparing = Counted(Stage.PREPARING, sum(map(len, draft.files)), watch)
    try:
        plan = plan_of(draft.files, draft.size_px, device, preparing)
    except KeyboardInterrupt:
        raise Undone from None  # nothing is there yet
    to = with_sessions(every, device)
    sending = _sending(draft, to, device)
    try:
        with device.vault.together():
            release_at = make_message(draft, plan, to, sending, device, watch)
        if release_at is not None and watch.wait(release_at) and device.clock.now() < release_at:
            release_message(sending.message, device)
        sent = Counted(Stage.SENDING, waiting_bytes(device), watch)
        left = _those_that_left(sending, flush(device, sent.more), device)
    except KeyboardInterrupt:
        cancel_sending(sending.message, device)
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
    every = load_records(SealedCopy, SEALED, device.vault)
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


def cancel_sending(message: MessageId, device: Device) -> None:
    """Undo a message whose sending was stopped, if not one letter of it can have left.

    Who presses Ctrl-C once more does not want it back: it is begun anew until it is whole.

    Raises:
        StoppedWhileSending: one may have left. Then everything stays as it is, so that it can be
            taken back by its name.
    """
    undone = False
    while not undone:
        try:
            _call_off(message, device)
            undone = True
        except KeyboardInterrupt:
            continue


def _call_off(message: MessageId, device: Device) -> None:
    every = load_records(SealedCopy, SEALED, device.vault)
    copies = [copy for copy in every if copy.message == message]
    try:
        sent = device.ledger.read(message)
    except UnknownMessage:
        return  # it was stopped before there was anything to undo
    if not all(can_be_called_off(copy.departure) for copy in copies):
        raise StoppedWhileSending(name=sent.name)
    with device.vault.together():
        drop_outbox_items({copy.envelope for copy in copies}, device)
        for copy in copies:
            for drawer in (SEALED, COVERED):
                device.vault.drop(drawer, copy.envelope.hex())
        device.ledger.forget(message)
        forget_sent(message, device)
        for kept in _kept_of(sent):
            device.vault.forget(kept)


def _kept_of(sent: Message) -> Iterator[BlobId]:
    """The files that the ledger keeps of a message."""
    for picture in sent.pictures:
        yield picture.original
    for clip in sent.clips:
        yield from (clip.original, clip.survey)
    for sound in sent.sounds:
        yield from (sound.original, sound.contour)
