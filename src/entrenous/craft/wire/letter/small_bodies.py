"""The bodies of letters that are no messages (docs/spec/letter.md section 6).

Each has a ``plain_...`` that gives what is encoded, and an ``as_...`` that reads it or raises
BadCbor.
"""

from typing import Any, Final

from entrenous.craft.wire.cbor import (
    BadCbor,
    as_blob,
    as_bytes,
    as_list,
    as_text,
    as_time,
    as_uint,
    seconds,
    unless_null,
)
from entrenous.craft.wire.identity.batch import as_signed_batch, plain_signed_batch
from entrenous.model.caption import acts_on_screen
from entrenous.model.ids import ID_BYTES, EnvelopeId, MessageId, PersonId
from entrenous.model.notes import (
    CardNote,
    CompareStep,
    Hello,
    LinkUsed,
    RecallNote,
    RequestNote,
    SyncNote,
    SyncTopic,
    WindowNote,
)
from entrenous.model.reaction import Reaction
from entrenous.model.receipt import Receipt, ReceiptEvent, Receipts
from entrenous.model.secret import Secret
from entrenous.spec import (
    PLAIN_CARD_BYTES_MAX,
    REACTION_BYTES_MAX,
    RECEIPTS_MAX,
    REQUEST_CHARS_MAX,
    WINDOW_FIRST_MAX,
)

_SYNC_MAX: Final = 100 * 1024
_STEPS: Final = 4
_STEP_MAX: Final = 96


def plain_hello(hello: Hello) -> object:
    """Who I am."""
    return [hello.card, hello.seed.reveal(), hello.first, hello.invite_lock]


def as_hello(value: object) -> Hello:
    """Who somebody is."""
    card, seed, first, invite_lock = as_list(value, 4, 4)
    return Hello(_card(card), _secret(seed), _first(first), unless_null(invite_lock, _hash))


def plain_recall(note: RecallNote) -> object:
    """Forget this message."""
    return note.message


def as_recall(value: object) -> RecallNote:
    """Which message is to be forgotten."""
    return RecallNote(_message(value))


def plain_card_note(note: CardNote) -> object:
    """My list has changed."""
    return note.card


def as_card_note(value: object) -> CardNote:
    """Somebody's list has changed."""
    return CardNote(_card(value))


def plain_sync(note: SyncNote) -> object:
    """What another device of ours should know."""
    return [int(note.topic), note.data]


def as_sync(value: object) -> SyncNote:
    """What another device of ours knows."""
    topic, data = as_list(value, 2, 2)
    known = SyncTopic(as_uint(topic, max(SyncTopic), min(SyncTopic)))
    return SyncNote(known, as_blob(data, _SYNC_MAX))


def plain_receipts(several: Receipts) -> object:
    """What became of copies that were sent to us."""
    entries = [
        [int(one.event), one.message, one.envelope, seconds(one.at), one.marks, one.leaf]
        for one in several.receipts
    ]
    return [entries, plain_signed_batch(several.batch)]


def as_receipts(value: object) -> Receipts:
    """What became of copies that we sent."""
    entries, batch = as_list(value, 2, 2)
    receipts = tuple(map(_receipt, as_list(entries, 1, RECEIPTS_MAX)))
    return Receipts(receipts, as_signed_batch(batch))


def plain_reaction(reaction: Reaction) -> object:
    """A sign at a message."""
    return [reaction.sender, reaction.message, reaction.text]


def as_reaction(value: object) -> Reaction:
    """A sign at a message."""
    sender, message, text = as_list(value, 3, 3)
    return Reaction(PersonId(_hash(sender)), _message(message), unless_null(text, _sign))


def plain_step(step: CompareStep) -> object:
    """A step of comparing keys."""
    return [step.transaction, step.step, step.data]


def as_step(value: object) -> CompareStep:
    """A step of comparing keys."""
    transaction, step, data = as_list(value, 3, 3)
    number = as_uint(step, _STEPS, 1)
    return CompareStep(as_bytes(transaction, ID_BYTES), number, as_blob(data, _STEP_MAX))


def plain_window(note: WindowNote) -> object:
    """Further send tokens."""
    return [note.seed.reveal(), note.first]


def as_window(value: object) -> WindowNote:
    """Further send tokens."""
    seed, first = as_list(value, 2, 2)
    return WindowNote(_secret(seed), _first(first))


def plain_request(note: RequestNote) -> object:
    """Let me in."""
    return [note.card, note.note]


def as_request(value: object) -> RequestNote:
    """Somebody asks to be let in."""
    card, note = as_list(value, 2, 2)
    return RequestNote(_card(card), _shown(as_text(note, REQUEST_CHARS_MAX)))


def plain_link_used(note: LinkUsed) -> object:
    """Your link had been used already."""
    return note.invite_lock


def as_link_used(value: object) -> LinkUsed:
    """Our link had been used already."""
    return LinkUsed(_hash(value))


def _receipt(entry: Any) -> Receipt:
    event, message, envelope, at, marks, leaf = as_list(entry, 6, 6)
    return Receipt(
        event=ReceiptEvent(as_uint(event, max(ReceiptEvent), min(ReceiptEvent))),
        message=_message(message),
        envelope=EnvelopeId(as_bytes(envelope, ID_BYTES)),
        at=as_time(at),
        marks=_hash(marks),
        leaf=_hash(leaf),
    )


def _sign(value: object) -> str:
    text = _shown(as_text(value, REACTION_BYTES_MAX))
    if not 1 <= len(text.encode()) <= REACTION_BYTES_MAX:
        raise BadCbor
    return text


def _shown(text: str) -> str:
    if any(map(acts_on_screen, text)):
        raise BadCbor
    return text


def _card(value: object) -> bytes:
    return as_blob(value, PLAIN_CARD_BYTES_MAX)


def _message(value: object) -> MessageId:
    return MessageId(as_bytes(value, ID_BYTES))


def _first(value: object) -> int:
    """Far below what an index may be, so that no window leads to one that cannot be written."""
    return as_uint(value, WINDOW_FIRST_MAX)


def _secret(value: object) -> Secret:
    return Secret(_hash(value))


def _hash(value: object) -> bytes:
    return as_bytes(value, 32)
