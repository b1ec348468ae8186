"""Send short texts between people of a room, which is faster than sending pictures."""

from datetime import timedelta

from entrenous.base.identifiers import RecipientId
from entrenous.send.message.draft import Draft, MessagePolicy
from entrenous.send.send import PostedMessage, send_message
from tests.village.world import Villager


def writes(
    who: Villager,
    *to: str,
    text: str = "hello",
    opens: int | None = None,
    may_export: bool = False,
) -> PostedMessage:
    """Send a text, with the guard's questions answered."""
    names = tuple(RecipientId(name) for name in to)
    policy = MessagePolicy(who.device.clock.now() + timedelta(days=7), opens, may_export)
    typed = frozenset(str(name) for name in names)
    return send_message(Draft((), names, policy, text=text, confirmed=typed), who.device)
