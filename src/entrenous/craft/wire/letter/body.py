"""Bodies of letters, told apart by a number (docs/spec/letter.md section 6)."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from entrenous.craft.wire.cbor import as_list, as_uint, decode, encode, named, written
from entrenous.craft.wire.letter import small_bodies as small
from entrenous.craft.wire.letter.message_body import as_message, plain_message, write_manifest
from entrenous.model.letter import BadLetter, Body, Manifest
from entrenous.model.notes import (
    CardNote,
    CompareStep,
    Hello,
    LinkUsed,
    RecallNote,
    RequestNote,
    SyncNote,
    UnknownBody,
    WindowNote,
)
from entrenous.model.reaction import Reaction
from entrenous.model.receipt import Receipts

__all__ = ["read_body", "write_body", "write_manifest"]

_KIND_MAX: Final = 2**16 - 1


class _Kind(NamedTuple):
    """One kind of body: its noun, what of it is encoded, and how that is read."""

    noun: type[Any]
    plain: Callable[[Any], object]
    read: Callable[[object], Body]


_KINDS: Final[Mapping[int, _Kind]] = {
    1: _Kind(Hello, small.plain_hello, small.as_hello),
    2: _Kind(Manifest, plain_message, as_message),
    3: _Kind(RecallNote, small.plain_recall, small.as_recall),
    4: _Kind(CardNote, small.plain_card_note, small.as_card_note),
    5: _Kind(SyncNote, small.plain_sync, small.as_sync),
    6: _Kind(Receipts, small.plain_receipts, small.as_receipts),
    7: _Kind(Reaction, small.plain_reaction, small.as_reaction),
    8: _Kind(CompareStep, small.plain_step, small.as_step),
    9: _Kind(WindowNote, small.plain_window, small.as_window),
    10: _Kind(RequestNote, small.plain_request, small.as_request),
    11: _Kind(LinkUsed, small.plain_link_used, small.as_link_used),
}


def write_body(body: Body) -> bytes:
    """A body's bytes.

    Raises:
        ValueError: a field is not what the specification allows.
    """
    return written(_plain(body), read_body)


def read_body(untrusted: bytes) -> Body:
    """A body; the caller has checked that the header names its hash.

    One of a kind that this version does not know is an :class:`.notes.UnknownBody`.

    Raises:
        BadLetter: not a body, or one of a known kind that has another form.
    """
    with named(BadLetter):
        number, value = as_list(decode(untrusted), 2, 2)
        kind = _KINDS.get(as_uint(number, _KIND_MAX, 1))
        return UnknownBody(number, encode(value)) if kind is None else kind.read(value)


def _plain(body: Body) -> list[object]:
    if isinstance(body, UnknownBody):
        return [body.kind, decode(body.value)]
    number = next(number for number, kind in _KINDS.items() if kind.noun is type(body))
    return [number, _KINDS[number].plain(body)]
