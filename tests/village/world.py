"""A simulated network in memory: people, one relay, a settable clock and seeded random bytes.

Only the disk, the network, the clock and the random source are replaced. The commands' functions,
the cryptography and the relay's rules are those of the production code.
"""

import io
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
from PIL import Image

from entrenous.base.identifiers import RecipientId
from entrenous.carry.relay import Relay
from entrenous.device.device import Courier, Device
from entrenous.device.identities import own_device
from entrenous.device.store.ledger import VaultLedger
from entrenous.media.picture_reader import read_picture
from entrenous.send.fetch import fetch_messages
from entrenous.send.message.draft import Draft, MessagePolicy
from entrenous.send.people.compare_keys import safety_number
from entrenous.send.people.invite import add_person, make_invite_link
from entrenous.send.people.keep_contacts import contact_by_id, mark_keys_compared
from entrenous.send.send import PostedMessage, send_message
from entrenous.send.set_up import set_up
from tests.deterministic import SeededRandomSource, SettableClock
from tests.in_memory.vault import MemoryVault
from tests.village.relay import relay_with_courier

RELAY_URL = "http://127.0.0.1:7001"


@dataclass
class Participant:
    """One person with one device."""

    name: str
    device: Device
    vault: MemoryVault

    def add_contact(self, other: "Participant") -> None:
        """Add another person by an invite, let both people fetch, and compare their keys."""
        add_person(make_invite_link(other.device), other.name, self.device)
        fetch_messages(other.device)
        fetch_messages(self.device)
        self.compare_keys(other)

    def compare_keys(self, other: "Participant") -> None:
        """Check that both people see equal safety numbers, and mark the keys as compared."""
        ours = contact_by_id(own_device(self.device).person.id, other.device)
        assert ours is not None
        theirs = safety_number(ours.name, other.device)
        assert safety_number(other.name, self.device) == theirs
        mark_keys_compared(other.name, self.device)

    def send(
        self, photo: bytes, *to: "Participant", opens: int | None = None, days: int = 7
    ) -> PostedMessage:
        """Send one photo. The draft confirms all recipients, so that the guard asks nothing."""
        names = tuple(RecipientId(recipient.name) for recipient in to)
        policy = MessagePolicy(self.device.clock.now() + timedelta(days=days), opens)
        draft = Draft((photo,), names, policy, confirmed=frozenset(str(name) for name in names))
        return send_message(draft, self.device)


@dataclass
class SingleRelayNetwork:
    """People who share a relay and a clock."""

    clock: SettableClock = field(default_factory=SettableClock)
    people: dict[str, Participant] = field(default_factory=dict)
    relay: Relay = field(init=False)
    courier: Courier = field(init=False)

    def __post_init__(self) -> None:
        self.relay, self.courier = relay_with_courier(
            RELAY_URL, self.clock, SeededRandomSource("relay")
        )

    def set_up_person(self, name: str, courier: Courier | None = None) -> Participant:
        """Set up a person's device, with ``courier`` or, by default, with the network's courier."""
        vault = MemoryVault()
        device = Device(
            clock=self.clock,
            random_source=SeededRandomSource(name),
            vault=vault,
            ledger=VaultLedger(vault),
            courier=courier or self.courier,
            read_picture=read_picture,
        )
        set_up(name, RELAY_URL, device)
        self.people[name] = Participant(name, device, vault)
        return self.people[name]


def photo(name: str = "astronaut", width_px: int = 400) -> bytes:
    """Return a small real photograph from scikit-image, as a JPEG file."""
    import skimage.data

    pixels = np.asarray(getattr(skimage.data, name)())
    picture = Image.fromarray(pixels).convert("RGB")
    height_px = round(picture.height * width_px / picture.width)
    file = io.BytesIO()
    picture.resize((width_px, height_px), Image.Resampling.LANCZOS).save(file, "JPEG", quality=90)
    return file.getvalue()


def photo_strip() -> bytes:
    """Return a strip of a real photograph, as a JPEG file that takes little time to send.

    It has 400 x 64 pixels, because a mark needs sides of at least 64 pixels.
    """
    file = io.BytesIO()
    Image.open(io.BytesIO(photo())).crop((0, 60, 400, 124)).save(file, "JPEG", quality=90)
    return file.getvalue()
