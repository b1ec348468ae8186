"""Accept an envelope from its sender into the database, exactly once, and hand waiting ones over to
the owner of a mailbox (docs/spec/relay.md sections 4 and 5).
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from entrenous.base.errors import (
    EntrenousError,
    Expired,
    IdInUse,
    NoSuchBlob,
    NoSuchMailbox,
    TakenBack,
    TooFarAhead,
    TooLarge,
)
from entrenous.base.identifiers import BlobId, EnvelopeId, MailboxId
from entrenous.base.limits import PAGE_FULL_BYTES, PAGE_MAX, SEALED_BYTES_MAX
from entrenous.base.secret import Secret
from entrenous.carry.envelope_states import Event, step
from entrenous.carry.expire import bury
from entrenous.carry.relay import Relay, RowTransaction, RowView, now, refuse_ahead
from entrenous.carry.relay_rows import (
    HeldAttempt,
    HeldBlob,
    HeldEnvelope,
    HeldGroup,
    HeldLetter,
    HeldMailbox,
    HeldShare,
    HeldToken,
)
from entrenous.carry.relay_settings import Limits
from entrenous.carry.release import join_group
from entrenous.carry.send_tokens import (
    owner,
    room_for_letter,
    room_for_share,
    room_in_group,
    sender,
    spend,
)
from entrenous.carry.withdraw import never_came
from entrenous.crypto.hashing import equal_in_constant_time, lock_of, sha256
from entrenous.wire.relay_nouns import Envelope, EnvelopeState, Waiting

_GRACE: Final = timedelta(hours=1)  # a sender's clock may run ahead of ours


async def accept(envelope: Envelope, token: Secret, relay: Relay) -> bool:
    """Take an envelope in; False if it is a repeat of one that was accepted before.

    A repeat needs no token: who can repeat every byte of an envelope has posted it, and its token
    may have been used up by that very post.

    Raises:
        NoSuchMailbox, WrongToken: this is no holder of a send token.
        TakenBack: its sender took it back before it came.
        IdInUse: the id was used for another envelope, a blob belongs to another one, or the
            group of its share may be opened another number of times.
        NoSuchBlob: a blob that it names is not here, or was not brought for it.
        TooLarge, TooFarAhead, Expired: beyond what a relay takes.
        MailboxFull: as many letters wait there as may, or as many shares are kept, for that
            mailbox or in that group.
        RelayClockAhead: by this clock it would have expired, or its token has.
    """
    _refuse_large(envelope)
    present = now(relay)
    if envelope.expires_at.microsecond:
        envelope = replace(envelope, expires_at=envelope.expires_at.replace(microsecond=0))
    digest = digest_of(envelope)

    def work(desk: RowTransaction) -> bool:
        held = desk.get(HeldEnvelope, envelope.id)
        if held is not None and equal_in_constant_time(held.digest, digest):
            return False
        granted = sender(desk, envelope.mailbox, token, present)
        if held is not None:
            raise _refusal(held, envelope)
        if envelope.expires_at <= present:
            refuse_ahead(desk, present)
        refuse_date(envelope.expires_at, present, relay.limits)
        _find_room(desk, envelope, relay.limits)
        _store(desk, envelope, digest, present)
        spend(desk, granted)
        return True

    new = await relay.mail.together(work, lambda view: _look_ahead(view, envelope, token))
    if new and relay.bell is not None:
        relay.bell.ring(envelope.mailbox)
    return new


async def prove_sender(
    envelope: EnvelopeId, mailbox: MailboxId, token: Secret, relay: Relay
) -> None:
    """Nothing, before a letter is read; :func:`accept` asks again. A repeat may have no token.

    Raises:
        NoSuchMailbox, WrongToken: this is no holder of a send token.
    """

    def work(view: RowView) -> None:
        if view.get(HeldEnvelope, envelope) is None:
            sender(view, mailbox, token, now(relay))

    await relay.mail.look(work)


def _look_ahead(view: RowView, envelope: Envelope, token: Secret) -> None:
    view.get(HeldEnvelope, envelope.id)
    view.get(HeldLetter, envelope.id)
    view.get(HeldMailbox, envelope.mailbox)
    view.get(HeldToken, envelope.mailbox, lock_of(token))
    view.count(HeldLetter, mailbox=envelope.mailbox)
    if envelope.share:
        view.get(HeldShare, envelope.id)
        view.count(HeldShare, mailbox=envelope.mailbox)
    if envelope.share and envelope.share.group:
        view.count(HeldShare, group=envelope.share.group)
        view.get(HeldGroup, envelope.share.group)
    for blob in envelope.blobs:
        view.get(HeldBlob, blob)


def _find_room(view: RowView, envelope: Envelope, limits: Limits) -> None:
    room_for_letter(view, envelope.mailbox, limits)
    if envelope.share:
        room_for_share(view, envelope.mailbox)
    if envelope.share and envelope.share.group:
        room_in_group(view, envelope.share.group)


def _refusal(held: HeldEnvelope, envelope: Envelope) -> EntrenousError:
    """Why nothing is taken in under an id that is known."""
    if never_came(held) and equal_in_constant_time(held.withdraw_lock, envelope.withdraw_lock):
        return TakenBack()
    return IdInUse()


def digest_of(envelope: Envelope) -> bytes:
    """SHA-256 over everything that was posted, each part preceded by its length."""
    share = envelope.share
    parts = (
        *(b"entrenous/1 envelope", envelope.id, envelope.mailbox, envelope.sealed),
        *(b"%d" % int(envelope.expires_at.timestamp()), envelope.withdraw_lock),
        *((share.value.reveal(), share.open_lock, b"%d" % (share.opens or 0)) if share else ()),
        *((share.group,) if share and share.group else ()),
        *(b"blobs", *envelope.blobs),
    )
    return sha256(b"".join(b"%d:" % len(part) + part for part in parts))


def refuse_date(expires_at: datetime, present: datetime, limits: Limits) -> None:
    """Raise Expired or TooFarAhead unless a relay may keep something until then."""
    if expires_at <= present:
        raise Expired(when=expires_at)
    if expires_at > present + timedelta(days=limits.keep_days) + _GRACE:
        raise TooFarAhead(limit_days=limits.keep_days)


def _refuse_large(envelope: Envelope) -> None:
    if len(envelope.sealed) > SEALED_BYTES_MAX:
        raise TooLarge(limit_bytes=SEALED_BYTES_MAX)


def _store(desk: RowTransaction, envelope: Envelope, digest: bytes, present: datetime) -> None:
    share, expires_at = envelope.share, envelope.expires_at
    lock = share.open_lock if share else None
    desk.put(
        HeldEnvelope(
            *(envelope.id, digest, envelope.withdraw_lock, lock, EnvelopeState.WAITING, 0),
            *(expires_at, None, None, None, expires_at),
        )
    )
    sequence = _next_sequence(desk, envelope)
    desk.put(HeldLetter(envelope.id, envelope.mailbox, sequence, envelope.sealed, expires_at))
    if share:
        counted = (share.opens, envelope.mailbox, share.group)
        desk.put(HeldShare(envelope.id, share.value, *counted))
    for blob in envelope.blobs:
        _link(desk, blob, envelope, present)
    join_group(desk, envelope, present)


def _next_sequence(desk: RowTransaction, envelope: Envelope) -> int:
    held = desk.get(HeldMailbox, envelope.mailbox)
    if held is None:
        raise NoSuchMailbox
    desk.put(replace(held, last_sequence=held.last_sequence + 1))
    return held.last_sequence + 1


def _link(desk: RowTransaction, blob: BlobId, envelope: Envelope, present: datetime) -> None:
    """Bind a blob to its envelope; the withdraw lock shows that the same sender brought both."""
    held = desk.get(HeldBlob, blob)
    if held is None or held.due_at <= present or held.mailbox != envelope.mailbox:
        raise NoSuchBlob
    if not equal_in_constant_time(held.withdraw_lock, envelope.withdraw_lock):
        raise NoSuchBlob
    if held.envelope is not None:
        raise IdInUse
    desk.put(replace(held, envelope=envelope.id, due_at=envelope.expires_at))


async def waiting_envelopes(
    mailbox: MailboxId, token: Secret, after: int, limit: int, relay: Relay
) -> list[Waiting]:
    """Envelopes with a sequence above ``after``, oldest first, at most ``limit`` or a page.

    What is asked for and not read waits in memory, so a page of large letters has few of them.

    Raises:
        NoSuchMailbox, WrongToken: this is not the owner.
    """
    present = now(relay)

    def letters(view: RowView) -> list[HeldLetter]:
        return view.letters(mailbox, after, present, min(limit, PAGE_MAX), PAGE_FULL_BYTES)

    def work(view: RowView) -> list[Waiting]:
        owner(view, mailbox, token)
        every = letters(view)
        return [Waiting(one.envelope, one.sequence, one.sealed, one.expires_at) for one in every]

    return await relay.mail.look(work, lambda view: (view.get(HeldMailbox, mailbox), letters(view)))


async def acknowledge(
    mailbox: MailboxId, token: Secret, envelope: EnvelopeId, relay: Relay
) -> None:
    """The owner has it on disk: forget the sealed bytes, if this mailbox still holds them.

    Raises:
        NoSuchMailbox, WrongToken: this is not the owner.
    """
    present = now(relay)

    def work(desk: RowTransaction) -> None:
        owner(desk, mailbox, token)
        letter = desk.get(HeldLetter, envelope)
        held = desk.get(HeldEnvelope, envelope)
        if letter is not None and letter.mailbox == mailbox and held is not None:
            desk.drop(HeldLetter, envelope)
            _deliver(desk, held, present)

    await relay.mail.together(work, lambda view: _over_look_ahead(view, mailbox, envelope))


def _over_look_ahead(view: RowView, mailbox: MailboxId, envelope: EnvelopeId) -> None:
    view.get(HeldMailbox, mailbox)
    view.get(HeldLetter, envelope)
    view.get(HeldEnvelope, envelope)
    view.get(HeldShare, envelope)
    view.find(HeldAttempt, envelope=envelope)
    view.find(HeldBlob, envelope=envelope)


def _deliver(desk: RowTransaction, held: HeldEnvelope, present: datetime) -> None:
    state = step(held.state, Event.DELIVER, held.expires_at)
    delivered = replace(held, state=state, delivered_at=present)
    share = desk.get(HeldShare, held.envelope)
    if share is not None or desk.find(HeldBlob, envelope=held.envelope):
        desk.put(delivered)
    else:
        bury(desk, delivered, present)
