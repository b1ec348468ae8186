"""The village's relay: the real rules and the real HTTP, with stores and a network in memory."""

from entrenous.adapters.blobs.memory import MemoryBlobs
from entrenous.adapters.courier.memory import memory_courier
from entrenous.adapters.mail.memory import MemoryMail
from entrenous.faces.relay.app import relay_app
from entrenous.ports import Clock, Courier, Dice, Relay


def village_relay(url: str, clock: Clock, dice: Dice) -> tuple[Relay, Courier]:
    """A relay that answers at ``url``, and a courier to it."""
    relay = Relay(MemoryMail(), MemoryBlobs(), clock, dice)
    return relay, memory_courier({url: relay_app(relay)})
