"""A simulated device, its owner's contacts and the relays that they use.

Master keys are empty, since nothing is encrypted.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import cv2
import numpy as np

from entrenous.base.identifiers import DeviceId, MailboxId, PersonId
from entrenous.base.identity import (
    BatchPosition,
    BatchRoot,
    CertifiedDevice,
    Contact,
    MasterPublicKeys,
    Person,
    Prekey,
    PrekeyKind,
    SignedBatch,
    Trust,
)
from entrenous.base.secret import Secret
from entrenous.crypto.identity_keys import (
    DeviceSigner,
    ed25519_public_key,
    mldsa65_hash,
    mldsa65_public_key,
    new_device_signer,
)
from entrenous.crypto.statements import prekey_leaf, sign_prekeys
from entrenous.device.device import Device
from entrenous.device.store.ledger import VaultLedger
from entrenous.media.picture_reader import read_picture
from entrenous.send.formats.identity_formats import write_prekey, write_prekey_statement
from entrenous.send.people.circles import Circle, CircleId
from entrenous.wire.key_bundle import write_batch
from entrenous.wire.relay_nouns import PrekeyBundle
from tests.in_memory.courier import memory_courier
from tests.in_memory.vault import MemoryVault

NEW_YEAR: Final = datetime(2026, 1, 1, tzinfo=UTC)
# NAMES are common given names of the United States in the last hundred years, as the Social
# Security Administration counts them; ALIKE are three familiar pairs of similar names.
NAMES: Final = tuple(
    """
    James Robert John Michael David William Richard Joseph Thomas Charles Daniel Matthew Anthony
    Donald Steven Andrew Paul Joshua Kenneth Kevin Brian Timothy Ronald George Jason Edward
    Jeffrey Ryan Jacob Nicholas Gary Eric Jonathan Stephen Larry Justin Scott Brandon Benjamin
    Samuel Gregory Alexander Patrick Frank Raymond Jack Dennis Jerry Patricia Jennifer Linda
    Elizabeth Barbara Susan Jessica Karen Sarah Lisa Nancy Sandra Betty Ashley Emily Kimberly
    Margaret Donna Michelle Carol Amanda Melissa Deborah Stephanie Rebecca Sharon Laura Cynthia
    Dorothy Amy Kathleen Angela Shirley Emma Brenda Pamela Nicole Samantha Katherine Christine
    Debra Rachel Carolyn Janet Maria Olivia Heather Helen
    """.split()  # noqa: SIM905 - easier to read than a list of strings
)
ALIKE: Final = ("Ana", "Anna", "Mark", "Mary", "Chris", "Christopher")
Rng = np.random.Generator


class Clock:
    """A clock that the simulation sets."""

    def __init__(self) -> None:
        self.moment = NEW_YEAR

    def now(self) -> datetime:
        return self.moment


class SeededRandomSource:
    """A source of random bytes that are the same for the same seed."""

    def __init__(self, rng: Rng) -> None:
        self._rng = rng

    def token(self, size: int) -> bytes:
        """Return ``size`` random bytes."""
        return self._rng.bytes(size)


class PrekeyStore:
    """Stands in for the relays: it has a prekey of each device, signed by that device.

    The prekey was made three days before the device was last used, according to ``last_used``. A
    device that is not listed there is in use now.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._signers = dict[DeviceId, DeviceSigner]()
        self.last_used = dict[DeviceId, datetime]()

    def add(self, device: DeviceId, seed: bytes) -> tuple[bytes, bytes]:
        """Add a new device, and return its Ed25519 key and the hash of its ML-DSA-65 key.

        Both have 32 bytes. The ML-DSA-65 key is derived from ``seed``.
        """
        signer = self._signers[device] = new_device_signer(seed)
        return ed25519_public_key(signer.account), mldsa65_hash(mldsa65_public_key(signer))

    def claim(self, url: str, mailbox: MailboxId, token: Secret, device: DeviceId) -> PrekeyBundle:
        """Return a bundle with only the X-Wing prekey that the device had when it was last used."""
        del url, token
        made_at = self.last_used.get(device, self._clock.now()) - timedelta(days=3)
        made_at = made_at.replace(microsecond=0)
        prekey = Prekey(PrekeyKind.XWING, bytes(8), device, 1, bytes(32), made_at, bytes(1216))
        statement = write_prekey_statement(prekey)
        signer, batch = self._signers[device], BatchRoot(device, mailbox, 1, prekey_leaf(statement))
        said = write_batch(batch)
        signed = SignedBatch(batch, said, mldsa65_public_key(signer), sign_prekeys(signer, said))
        return PrekeyBundle(
            device, None, b"", write_prekey(statement, BatchPosition(0, ()), signed)
        )


class QuickVault(MemoryVault):
    """A vault in memory whose transactions copy tables, but no records.

    That is enough to undo a change, since records are never changed in place.
    """

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep all changes that are made inside, or none of them if an exception is raised."""
        before = {table: dict(records) for table, records in self._tables.items()}
        try:
            yield
        except BaseException:
            self._tables = before
            raise


def device_of(clock: Clock, prekey_store: PrekeyStore, rng: Rng) -> Device:
    """Return a device with a vault in memory; ``prekey_store`` takes the place of all relays."""
    vault, courier = QuickVault(), memory_courier({})
    courier.claim_prekeys = prekey_store.claim
    return Device(clock, SeededRandomSource(rng), vault, VaultLedger(vault), courier, read_picture)


def somebody(name: str, device: Device, prekey_store: PrekeyStore) -> Contact:
    """Return a new contact with one device, known by link."""
    person = Person(
        PersonId(device.random_source.token(32)),
        name,
        MasterPublicKeys(b"", b""),
        "https://relay.test",
        epoch=1,
        head=device.random_source.token(32),
        devices=(a_device(device, prekey_store),),
    )
    return Contact(
        name, person, Secret(device.random_source.token(32)), Trust.BY_LINK, device.clock.now()
    )


def with_new_phone(contact: Contact, device: Device, prekey_store: PrekeyStore) -> Contact:
    """Return the same contact with a new device instead of the old one."""
    person = contact.person
    moved = replace(
        person,
        epoch=person.epoch + 1,
        head=device.random_source.token(32),
        devices=(a_device(device, prekey_store),),
    )
    return replace(contact, person=moved, changed_at=device.clock.now())


def a_device(device: Device, prekey_store: PrekeyStore) -> CertifiedDevice:
    """Return a new device, which was added to ``prekey_store``."""
    name, now = DeviceId(device.random_source.token(16)), device.clock.now().replace(microsecond=0)
    mailbox = MailboxId(device.random_source.token(16))
    ed25519, mldsa65 = prekey_store.add(name, device.random_source.token(32))
    return CertifiedDevice(name, mailbox, ed25519, bytes(32), mldsa65, now)


def circle_of(name: str, people: list[Contact], rng: Rng) -> Circle:
    """Return a circle of these people, all of whom got the last message that was sent to it."""
    ids = tuple(sorted(one.person.id for one in people))
    made = NEW_YEAR - timedelta(days=300)
    return Circle(CircleId(rng.bytes(16)), name, ids, made, frozenset(ids))


def pictures(count: int, rng: Rng) -> list[bytes]:
    """Return PNG files of 80 x 60 pixels that do not look alike: clouds of colour with 12 lines."""
    files = []
    for _ in range(count):
        coarse = rng.integers(0, 255, (6, 8, 3), np.uint8)
        pixels = cv2.resize(coarse, (80, 60), interpolation=cv2.INTER_CUBIC)
        for _ in range(12):
            ends = [(int(rng.integers(80)), int(rng.integers(60))) for _ in range(2)]
            colour = [int(one) for one in rng.integers(0, 255, 3)]
            cv2.line(pixels, ends[0], ends[1], colour, 2)
        files.append(cv2.imencode(".png", pixels)[1].tobytes())
    return files
