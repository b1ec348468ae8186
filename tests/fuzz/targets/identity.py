"""Targets for certificates, device lists, keys, invites, recovery sheets, linking and syncing."""

from collections.abc import Callable
from random import Random
from typing import Any, Final

from entrenous.base.errors import Malformed
from entrenous.base.identifiers import MailboxId
from entrenous.base.identity import Trust
from entrenous.base.limits import PREKEY_BYTES_MAX
from entrenous.base.secret import Secret
from entrenous.send.devices.link_nouns import (
    LinkAnswer,
    LinkCode,
    LinkGrant,
    LinkRequest,
    LinkReveal,
    LinkStop,
    NewDeviceGrant,
    NewDeviceOffer,
)
from entrenous.send.devices.linked_devices import (
    IntroducedDevice,
    LinkedDevice,
    LinkedMailbox,
    MailboxUse,
)
from entrenous.send.formats.identity_formats import (
    INVITE_PREFIX,
    _checksum,
    read_invite_link,
    read_prekey,
    read_sheet,
    write_invite_link,
    write_prekey,
    write_sheet,
)
from entrenous.send.formats.linking import LINK_CODE_PREFIX as LINK_PREFIX
from entrenous.send.formats.linking import (
    pad_link_message,
    read_grant,
    read_link_code,
    read_link_message,
    read_offer,
    unpad_link_message,
    write_grant,
    write_link_code,
    write_link_message,
    write_offer,
)
from entrenous.send.formats.sync_format import (
    SharedBlock,
    SharedCircle,
    SharedCloseToken,
    SharedContact,
    SharedForgottenContact,
    SharedMailboxes,
    SharedRecord,
    comparable_form,
    read_sync_note,
    write_sync_note,
)
from entrenous.send.letter.letter_nouns import SyncNote, SyncTopic
from entrenous.send.people.circles import CircleId
from entrenous.send.tokens.token_ranges import LentToken
from entrenous.wire.cbor import decode, encode
from entrenous.wire.encodings import from_base64url, to_base64url
from entrenous.wire.key_bundle import (
    read_certificate,
    read_device_list,
    read_key_bundle,
    write_certificate,
    write_device_list,
    write_key_bundle,
)
from tests.fuzz.mutate import change_bytes, change_cbor, mutation_after_prefix
from tests.fuzz.seeds import (
    DEVICE,
    DIGEST,
    INVITE,
    MAILBOX,
    NOON,
    PERSON,
    RECOVERY_SHEET,
    URL,
    first_valid_vector,
    vector_bytes,
)
from tests.fuzz.target import Target, canonical_round_trip, round_trip

_TOKEN: Final = Secret(b"t" * 32)
_SHEET_PREFIX: Final = b"entrenous-recovery:2:"
_SYNC_TOPICS: Final = tuple(SyncTopic)
_OFFER: Final = NewDeviceOffer(
    *(b"e" * 32, b"c" * 32, b"q" * 32, DEVICE, (1, 2), b"x" * 1216),
    *(MAILBOX, Secret(b"c" * 32), "Tablet"),
)
_LINK_MESSAGES: Final = (
    LinkRequest(MAILBOX, _TOKEN, b"p" * 32),
    LinkAnswer(b"k" * 32, b"x" * 1216),
    LinkReveal(b"k" * 32, b"sealed"),
    LinkGrant(b"sealed"),
    LinkStop(b"p" * 32),
)


def _grant_bytes() -> bytes:
    device_with_token = IntroducedDevice(
        LinkedDevice(DEVICE, "Phone", _TOKEN), (LentToken(3, _TOKEN),)
    )
    device_without_token = IntroducedDevice(LinkedDevice(DEVICE, "Phone", None), ())
    return write_grant(
        NewDeviceGrant(
            first_valid_vector("card"),
            Secret(b"m" * 64),
            "Tablet",
            (device_with_token, device_without_token),
            DIGEST,
        )
    )


def _reader_of_latin1(read: Callable[[str], Any]) -> Callable[[bytes], Any]:
    """Return a function that decodes bytes as Latin-1 (every byte is valid) and reads the text."""
    return lambda untrusted: read(untrusted.decode("latin-1"))


def _change_sheet(data: bytes, rng: Random) -> bytes:
    """Change a field and correct the checksum, or change bytes of the text."""
    if rng.randrange(2):
        return change_bytes(data, rng)
    code = b"".join(data.removeprefix(_SHEET_PREFIX).split())
    try:
        changed = decode(change_cbor(from_base64url(code.decode()), rng))
        fields = changed[:-1] if isinstance(changed, list) else [changed]
        return _SHEET_PREFIX + to_base64url(encode([*fields, _checksum(fields)])).encode()
    except (Malformed, ValueError):
        return change_bytes(data, rng)


def _read_note(untrusted: bytes) -> SharedRecord:
    """Read a note; the first byte gives its topic."""
    topic = _SYNC_TOPICS[untrusted[0] % len(_SYNC_TOPICS)] if untrusted else SyncTopic.CONTACT
    return read_sync_note(SyncNote(topic, untrusted[1:]))


def _write_note(shared: SharedRecord) -> bytes:
    note = write_sync_note(shared)
    return bytes([_SYNC_TOPICS.index(note.topic)]) + note.data


def _write_note_with_topic(read: tuple[bytes, SharedRecord]) -> bytes:
    """Return the first byte of the input, which gives the topic, and then the written note."""
    comparable_form(read[1])
    return read[0] + _write_note(read[1])[1:]


def _note_seeds() -> list[bytes]:
    lent = ((DEVICE, (LentToken(3, _TOKEN),)),)
    mailboxes = tuple(
        LinkedMailbox("https://relay.example", MailboxId(bytes([what]) * 16), _TOKEN, what)
        for what in MailboxUse
    )
    shared_records: tuple[SharedRecord, ...] = (
        SharedContact(
            PERSON, NOON, "Ben", Trust.BY_LINK, NOON, first_valid_vector("card"), True, lent
        ),
        SharedForgottenContact(PERSON, NOON),
        SharedCircle(CircleId(b"o" * 16), NOON, "Friends", (PERSON,), NOON),
        SharedCloseToken(DEVICE, NOON, "Tablet", _TOKEN),
        SharedBlock(PERSON, NOON, True),
        SharedMailboxes(DEVICE, NOON, mailboxes),
    )
    return list(map(_write_note, shared_records))


def _change_note(data: bytes, rng: Random) -> bytes:
    return data[:1] + change_cbor(data[1:], rng)


TARGETS: Final = (
    Target(
        "certificate",
        canonical_round_trip(read_certificate, write_certificate),
        lambda: vector_bytes("certificate"),
        change_cbor,
        input_bytes_max=1024,
    ),
    Target(
        "device-list",
        canonical_round_trip(lambda untrusted: read_device_list(untrusted).said, write_device_list),
        lambda: vector_bytes("list"),
        change_cbor,
    ),
    Target(
        "card",
        canonical_round_trip(read_key_bundle, write_key_bundle),
        lambda: vector_bytes("card"),
        change_cbor,
        input_bytes_max=32 * 1024,
    ),
    Target(
        "prekey",
        canonical_round_trip(
            read_prekey, lambda key: write_prekey(key.statement, key.place, key.batch)
        ),
        lambda: vector_bytes("prekey"),
        change_cbor,
        input_bytes_max=PREKEY_BYTES_MAX,
    ),
    Target(
        "invite",
        canonical_round_trip(
            _reader_of_latin1(read_invite_link), lambda invite: write_invite_link(invite).encode()
        ),
        lambda: [*vector_bytes("invite"), write_invite_link(INVITE).encode()],
        mutation_after_prefix(INVITE_PREFIX.encode()),
        input_bytes_max=1100,
    ),
    Target(
        "recovery-sheet",
        round_trip(_reader_of_latin1(read_sheet), lambda sheet: write_sheet(sheet).encode()),
        lambda: [
            write_sheet(RECOVERY_SHEET).encode(),
            b"Keep this.\n\n" + write_sheet(RECOVERY_SHEET).encode(),
        ],
        _change_sheet,
    ),
    Target(
        "link-code",
        canonical_round_trip(
            _reader_of_latin1(read_link_code), lambda code: write_link_code(code).encode()
        ),
        lambda: [write_link_code(LinkCode(URL, MAILBOX, _TOKEN)).encode()],
        mutation_after_prefix(LINK_PREFIX.encode()),
        input_bytes_max=1100,
    ),
    Target(
        "link-message",
        canonical_round_trip(read_link_message, write_link_message),
        lambda: list(map(write_link_message, _LINK_MESSAGES)),
        change_cbor,
    ),
    Target(
        "link-padding",
        canonical_round_trip(unpad_link_message, pad_link_message),
        lambda: [pad_link_message(b"message"), pad_link_message(b"")],
    ),
    Target(
        "link-offer",
        canonical_round_trip(read_offer, write_offer),
        lambda: [write_offer(_OFFER)],
        change_cbor,
    ),
    Target(
        "link-grant",
        canonical_round_trip(read_grant, write_grant),
        lambda: [_grant_bytes()],
        change_cbor,
        input_bytes_max=32 * 1024,
    ),
    Target(
        "sync-note",
        canonical_round_trip(
            lambda untrusted: (untrusted[:1], _read_note(untrusted)), _write_note_with_topic
        ),
        _note_seeds,
        _change_note,
        input_bytes_max=32 * 1024,
    ),
)
