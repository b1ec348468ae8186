"""What a gate and its judges say to each other, over two pipes that nobody else holds.

A question is an upload, the platform's name of it, and what the platform publishes all the same:
four bytes say how long the name is, eight how long the upload is, one what is published (its place
in :class:`Publishes`), then name and upload follow. An answer is one JSON object, after four bytes
that say how long it is. Both ends are this program, so what is read is not doubted.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any, Final

import msgspec

from entrenous.model.decision import Decision, Outcome, Publishes
from entrenous.model.errors import EntrenousError
from entrenous.model.fingerprint import Match
from entrenous.model.secret import Secret

READY: Final = b"R"
SIZE: Final = struct.Struct(">I")
_HEAD: Final = struct.Struct(">IQB")
_PUBLISHES: Final = tuple(Publishes)


class JudgeFailed(RuntimeError):
    """A judge met a fault of ours; of that only its kind is said, for its words may tell more."""


def write_question(
    untrusted_data: bytes, reference: str, publishes: Publishes = Publishes.NOTHING
) -> tuple[bytes, bytes]:
    """In two pieces, so that the upload is not copied."""
    name, which = reference.encode(), _PUBLISHES.index(publishes)
    return _HEAD.pack(len(name), len(untrusted_data), which) + name, untrusted_data


def read_question(read: Callable[[int], bytes]) -> tuple[bytes, str, Publishes] | None:
    """An upload, its reference, and what is published; None when there will be none. ``read`` gives
    so many bytes, or fewer at the end.
    """
    head = read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    name_bytes, data_bytes, which = _HEAD.unpack(head)
    name, data = read(name_bytes), read(data_bytes)
    is_whole = (len(name), len(data)) == (name_bytes, data_bytes)
    return (data, name.decode(), _PUBLISHES[which]) if is_whole else None


def write_answer(decide: Callable[[], Decision]) -> bytes:
    """What this comes to, whatever that is."""
    try:
        answer = msgspec.json.encode(_said(decide))
    except Exception as bug:  # noqa: BLE001 -- the gate answers it as one of its own
        answer = msgspec.json.encode({"bug": type(bug).__name__})
    return SIZE.pack(len(answer)) + answer


def _said(decide: Callable[[], Decision]) -> dict[str, Any]:
    try:
        return _decision(decide())
    except EntrenousError as failure:
        return {"failure": _name(type(failure)), "facts": failure.facts}


def read_answer(answer: bytes) -> Decision:
    """Raises what deciding raised, and JudgeFailed."""
    said = msgspec.json.decode(answer)
    if "case" in said:
        return _read_decision(said)
    kind = _failures().get(said.get("failure", ""))
    if kind is None:
        raise JudgeFailed(said.get("bug", ""))
    raise kind(**said["facts"])


def _decision(one: Decision) -> dict[str, Any]:
    return {
        "outcome": one.outcome,
        "case": one.case,
        "matches": [asdict(match) for match in one.matches],
        "would": one.would,
        "secret": one.secret.reveal() if one.secret else None,
        "listed": one.listed,
    }


def _read_decision(said: dict[str, Any]) -> Decision:
    return Decision(
        Outcome(said["outcome"]),
        said["case"],
        tuple(Match(**match) for match in said["matches"]),
        Outcome(said["would"]) if said["would"] else None,
        Secret(msgspec.convert(said["secret"], bytes)) if said["secret"] else None,
        said["listed"],
    )


def _failures() -> dict[str, type[EntrenousError]]:
    """Those that this process knows, by name."""
    return {_name(kind): kind for kind in _with_those_below(EntrenousError)}


def _name(kind: type[EntrenousError]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _with_those_below(kind: type[EntrenousError]) -> Iterator[type[EntrenousError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _with_those_below(below)
