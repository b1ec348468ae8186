"""Which relay a database belongs to (docs/spec/relay.md section 12)."""

from dataclasses import dataclass
from typing import Final

from entrenous.model.held import HeldMailbox, HeldRelay
from entrenous.ports import MailDesk, MailView, Relay

_ONLY: Final = 1
_NAME_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Contents:
    """Whose database it is, None where no relay has started with it; whether it has mailboxes."""

    relay: bytes | None
    is_filled: bool


def contents_of(view: MailView) -> Contents:
    """What a database says of itself."""
    held = view.get(HeldRelay, _ONLY)
    return Contents(held.name if held else None, bool(view.find(HeldMailbox, 1)))


async def relay_id(relay: Relay) -> bytes:
    """The 16 bytes that name this relay's database, drawn at its first start; all its copies, and
    all relays that share it, have the same.
    """
    fresh = HeldRelay(_ONLY, relay.dice.token(_NAME_BYTES))

    def work(desk: MailDesk) -> bytes:
        held = desk.get(HeldRelay, _ONLY)
        if held is None:
            desk.put(fresh)
        return (held or fresh).name

    return await relay.mail.together(work)
