"""Send a message: the whole of it, from the guard to the relay's acknowledgement.

Everything that can fail without the network is done first. Then, in one transaction, the ledger,
the letters and the outbox are written; from there on nothing is lost, whatever happens to this
process, the network or the relay.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace

from entrenous.craft.crypto.commitments import mark_commitment
from entrenous.craft.wire.letter.commitment import write_mark
from entrenous.model.ids import ID_BYTES, MessageId, MessageName, RecipientId
from entrenous.model.letter import ContentFile, PersonHead
from entrenous.model.message import (
    Copy,
    Departure,
    Draft,
    Message,
    NotToAll,
    SealedCopy,
    WaitsInOutbox,
)
from entrenous.model.secret import Secret
from entrenous.ports import Device
from entrenous.send.acquaintance.people import contact_named
from entrenous.send.devices.self import refuse_unready
from entrenous.send.doubts.note import note_sent
from entrenous.send.drawers import SEALED, lay, take_all
from entrenous.send.guard import insist
from entrenous.send.letter.sessions import have_session
from entrenous.send.letter.write import Addressee, addressees, write_letter
from entrenous.send.mark.copies import MadeCopy, Original, new_seed, prepare_original, write_each
from entrenous.send.mark.remember import keep_looks, remember
from entrenous.send.message.call_off import call_off
from entrenous.send.message.naming import new_name
from entrenous.send.message.seal import OwnFile, Sealed, Sending, seal_content
from entrenous.send.moment import this_second
from entrenous.send.outbox import Flushed, flush


@dataclass(frozen=True, slots=True)
class Posted:
    """A message that the relays have on disk: its name, and how many devices of whom it went to."""

    name: MessageName
    devices: Mapping[RecipientId, int]


def send_message(
    draft: Draft, device: Device, on_copy: Callable[[], None] = lambda: None
) -> Posted:
    """Send a draft; returns once every relay has every copy on disk.

    ``on_copy`` is called after each copy was sealed.

    Raises:
        GuardSaysStop, ConfirmsNobody, UnknownPerson, YouBlocked, NotAPicture, CutShort,
        TooManyPixels, TooSmallToMark, OfflineDevice; WaitsInOutbox when it is sealed and a relay is
        away; NotToAll when a copy was refused; RolledBack, NotConfirmed.
        KeyboardInterrupt: it was stopped, and is as if it had never been begun;
        StoppedWhileSending when that cannot be had any more.
    """
    refuse_unready(device)
    insist(draft, device)
    to = tuple(one for name in draft.to for one in addressees(contact_named(name, device)))
    originals = tuple(prepare_original(data, draft.size_px, device) for data in draft.files)
    for one in to:
        have_session(one, device)
    sending = _sending(draft, to, device)
    seeds = [tuple(new_seed(device) for _ in originals) for _ in to]
    try:
        with device.vault.together():
            made = []
            with closing(write_each(originals, seeds)) as written:
                for one, copies in zip(to, written, strict=True):
                    made.append(_seal(one, copies, originals, sending, draft, device))
                    on_copy()
            _commit(sending, originals, made, draft, device)
        _tell(sending, flush(device), device)
    except KeyboardInterrupt:
        call_off(sending.message, device)
        raise
    devices = Counter(RecipientId(one.contact.name) for one in to)
    return Posted(sending.name, dict(devices))


def _tell(sending: Sending, flushed: Flushed, device: Device) -> None:
    """Raise what kept a copy of this message here; other letters' troubles are no news about it."""
    every = take_all(SealedCopy, SEALED, device.vault)
    copies = [copy for copy in every if copy.message == sending.message]
    refused = [copy for copy in copies if copy.departure is Departure.REFUSED]
    waits = [copy for copy in copies if copy not in refused and not copy.acknowledged]
    if refused:
        raise NotToAll(
            name=sending.name,
            refused=_names(refused),
            waits=_names(waits),
            has=_names([copy for copy in copies if copy.acknowledged]),
            why=flushed.stayed[refused[0].envelope],
        )
    if waits:
        raise WaitsInOutbox(name=sending.name, why=flushed.stayed[waits[0].envelope])


def _names(copies: list[SealedCopy]) -> str:
    return ", ".join(dict.fromkeys(str(copy.to) for copy in copies)) or "nobody"


@dataclass(frozen=True, slots=True)
class _Made:
    """One device's copies, sealed; ``copies`` run as the draft's files do."""

    to: Addressee
    sealed: Sealed
    copies: tuple[Copy, ...]


def _sending(draft: Draft, to: tuple[Addressee, ...], device: Device) -> Sending:
    return Sending(
        message=MessageId(device.dice.token(ID_BYTES)),
        name=new_name(device),
        sent_at=this_second(device),
        policy=replace(draft.policy, expires_at=draft.policy.expires_at.replace(microsecond=0)),
        audience=tuple(sorted((one.contact.person.id, one.key.device) for one in to)),
        heads=_heads(to),
    )


def _heads(to: tuple[Addressee, ...]) -> tuple[PersonHead, ...]:
    """The lists that we know of everybody who gets a copy, each person once, sorted."""
    people = {one.contact.person.id: one.contact.person for one in to}
    return tuple(PersonHead(who, people[who].epoch, people[who].head) for who in sorted(people))


def _seal(  # noqa: PLR0913, PLR0917 - one person's part of a whole message
    to: Addressee,
    made: tuple[MadeCopy, ...],
    originals: tuple[Original, ...],
    sending: Sending,
    draft: Draft,
    device: Device,
) -> _Made:
    copies = tuple(_copy(to, one, device) for one in made)
    files = tuple(
        OwnFile(
            ContentFile(original.picture.encoding.format.written.media_type, one.data),
            mark_commitment(write_mark(sending.message, place, copy)),
        )
        for place, (original, one, copy) in enumerate(
            zip(originals, made, copies, strict=True), start=1
        )
    )
    return _Made(to, seal_content(files, draft.caption, to, sending, device), copies)


def _commit(
    sending: Sending,
    originals: tuple[Original, ...],
    made: list[_Made],
    draft: Draft,
    device: Device,
) -> None:
    kept = [device.vault.keep(original.source) for original in originals]
    pictures = tuple(
        remember(original, kept[place], tuple(one.copies[place] for one in made))
        for place, original in enumerate(originals)
    )
    message = Message(
        id=sending.message,
        name=sending.name,
        sent_at=sending.sent_at,
        pictures=pictures,
        caption=draft.caption,
        expires_at=draft.policy.expires_at,
    )
    device.ledger.record(message)
    note_sent(message, draft, device)
    keep_looks(message.id, originals, device)
    for one in made:
        write_letter(one.sealed.manifest, one.to, one.sealed.outer, device)
        lay(_remembered(one, sending), SEALED, one.sealed.outer.envelope.hex(), device.vault)


def _copy(to: Addressee, made: MadeCopy, device: Device) -> Copy:
    return Copy(
        to=RecipientId(to.contact.name),
        seed=made.seed,
        sha256=made.sha256,
        person=to.contact.person.id,
        device=to.key.device,
        nonce=Secret(device.dice.token(32)),
    )


def _remembered(made: _Made, sending: Sending) -> SealedCopy:
    return SealedCopy(
        message=sending.message,
        to=RecipientId(made.to.contact.name),
        person=made.to.contact.person.id,
        device=made.to.key.device,
        relay_url=made.to.contact.person.relay_url,
        envelope=made.sealed.outer.envelope,
        withdraw_token=made.sealed.outer.withdraw_token,
    )
