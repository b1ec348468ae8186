"""In-memory relays: the production rules and HTTP application, on in-memory stores."""

from dataclasses import replace

from entrenous.base.environment import Clock, RandomSource
from entrenous.carry.http.relay_app import relay_app
from entrenous.carry.relay import Relay
from entrenous.device.device import Courier
from tests.in_memory.blobs import MemoryBlobs
from tests.in_memory.courier import memory_courier
from tests.in_memory.mail import MemoryRowStore


def relay_with_courier(
    url: str, clock: Clock, random_source: RandomSource
) -> tuple[Relay, Courier]:
    """Return an in-memory relay, and a courier that reaches it at ``url``."""
    relay = Relay(MemoryRowStore(), MemoryBlobs(), clock, random_source)
    return relay, memory_courier({url: relay_app(relay)})


def copy_relay(relay: Relay, clock: Clock, random_source: RandomSource) -> Relay:
    """Return a copy of a relay and of its stores, with this clock and random source."""
    assert isinstance(relay.mail, MemoryRowStore)
    assert isinstance(relay.blobs, MemoryBlobs)
    mail, blobs = relay.mail.copy(), relay.blobs.copy()
    return replace(relay, mail=mail, blobs=blobs, clock=clock, random_source=random_source)
