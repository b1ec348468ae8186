"""The guard against the wrong recipient: silent on ordinary sends, and asks for a name when
something is odd.

It never asks twice about the same thing in the same send, and ``--yes`` does not answer it: only
the name of the person, typed, does.
"""

from typing import Final

from entrenous.model.ids import RecipientId
from entrenous.model.message import ConfirmsNobody, Doubt, Draft, GuardSaysStop
from entrenous.model.person import Contact
from entrenous.ports import Device
from entrenous.send.people import as_seen, contact_named, contacts

_ORDINARY_AFTER: Final = 3  # messages to somebody after which a similar name is no surprise


def warn_about(draft: Draft, device: Device) -> tuple[Doubt, ...]:
    """Everything that is odd about this draft, one doubt per recipient at most."""
    known = contacts(device)
    doubts = (_doubt(contact_named(name, device), known, device) for name in draft.to)
    return tuple(doubt for doubt in doubts if doubt is not None)


def insist(draft: Draft, device: Device) -> None:
    """Let a draft pass only when every doubt was answered by its recipient's name.

    Raises:
        ConfirmsNobody: a name was typed that is not a recipient of this draft.
        GuardSaysStop: a doubt was not answered.
    """
    to = {as_seen(name) for name in draft.to}
    for typed in draft.confirmed:
        if as_seen(typed) not in to:
            raise ConfirmsNobody(typed=typed, to=", ".join(sorted(draft.to)))
    doubts = open_doubts(draft, device)
    if doubts:
        raise GuardSaysStop(
            reasons="; ".join(doubt.why for doubt in doubts),
            names=" ".join(f"--confirm {doubt.who}" for doubt in doubts),
        )


def open_doubts(draft: Draft, device: Device) -> list[Doubt]:
    """The doubts that no typed name has answered; a name is the same however it is cased."""
    confirmed = set(map(as_seen, draft.confirmed))
    return [doubt for doubt in warn_about(draft, device) if as_seen(doubt.who) not in confirmed]


def _doubt(contact: Contact, known: tuple[Contact, ...], device: Device) -> Doubt | None:
    name = contact.name
    reasons = []
    sent = _messages_to(contact, device)
    if not contact.verified:
        reasons.append(f"you have not compared {name}'s keys yet")
    if sent == 0:
        reasons.append(f"this is the first message to {name}")
    if sent < _ORDINARY_AFTER:
        alike = [other.name for other in known if other != contact and resembles(name, other.name)]
        reasons.extend(f"{name} is easily taken for {other}" for other in alike)
    return Doubt(RecipientId(name), ", and ".join(reasons)) if reasons else None


def _messages_to(contact: Contact, device: Device) -> int:
    return sum(
        any(copy.person == contact.person.id for pic in message.pictures for copy in pic.copies)
        for message in device.ledger.messages()
    )


def resembles(one: str, other: str) -> bool:
    """Whether two names are one slip apart: a letter more, less, other, or two swapped.

    Optimal string alignment distance (Damerau 1964), without regard to what nobody sees.
    """
    a, b = as_seen(one), as_seen(other)
    return abs(len(a) - len(b)) <= 1 and _alignment(a, b) <= 1


def _alignment(a: str, b: str) -> int:
    rows = [list(range(len(b) + 1))]
    for i, left in enumerate(a, 1):
        row = [i]
        for j, right in enumerate(b, 1):
            best = min(row[j - 1] + 1, rows[-1][j] + 1, rows[-1][j - 1] + (left != right))
            if i > 1 and j > 1 and left == b[j - 2] and a[i - 2] == right:
                best = min(best, rows[-2][j - 2] + 1)
            row.append(best)
        rows.append(row)
    return rows[-1][-1]
