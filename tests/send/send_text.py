"""Send text messages, which is faster than sending pictures."""

from datetime import timedelta

from entrenous.base.identifiers import RecipientId
from entrenous.send.message.draft import Draft, MessagePolicy
from entrenous.send.send import PostedMessage, send_message
from tests.village.world import Participant


def send_text(
    sender: Participant,
    *to: str,
    text: str = "hello",
    opens: int | None = None,
    may_export: bool = False,
) -> PostedMessage:
    """Send a text to recipients whom the sender has confirmed to the guard."""
    names = tuple(RecipientId(name) for name in to)
    policy = MessagePolicy(sender.device.clock.now() + timedelta(days=7), opens, may_export)
    confirmed = frozenset(str(name) for name in names)
    return send_message(Draft((), names, policy, text=text, confirmed=confirmed), sender.device)
