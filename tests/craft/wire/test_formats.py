"""What each format refuses, and the values that it fixes."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import cbor2
import pytest

from entrenous.craft.wire.body import read_body, write_body, write_manifest
from entrenous.craft.wire.card import (
    device_key,
    read_card,
    read_certificate,
    write_card,
    write_card_statement,
    write_certificate,
)
from entrenous.craft.wire.cbor import decode, encode
from entrenous.craft.wire.content import padded_length, read_content, write_content
from entrenous.craft.wire.invite import read_invite, write_invite
from entrenous.craft.wire.letter import (
    read_header,
    read_sealed,
    write_header,
    write_info,
    write_sealed,
)
from entrenous.craft.wire.prekey import read_prekey, write_prekey, write_prekey_statement
from entrenous.model.card import BadCard, BadPrekey, Certificate, Prekey, PrekeyKind
from entrenous.model.ids import (
    BlobId,
    DeviceId,
    EnvelopeId,
    MailboxId,
    MessageId,
    MessageName,
    PersonId,
)
from entrenous.model.letter import (
    Address,
    BadContent,
    BadLetter,
    BlobRef,
    Content,
    ContentFile,
    Header,
    Hello,
    Manifest,
    RecallNote,
    XWingKey,
)
from entrenous.model.person import BadInvite, Invite, MasterKey, Person
from entrenous.model.secret import Secret

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
ANA, BEN = PersonId(b"a" * 32), PersonId(b"b" * 32)
ANAS, BENS = DeviceId(b"A" * 16), DeviceId(b"B" * 16)
SIGNATURE = bytes(3373)
CERTIFICATE = Certificate(ANA, ANAS, b"e" * 32, b"c" * 32, NOON)
PERSON = Person(
    id=ANA,
    name="Ana",
    master=MasterKey(b"e" * 32, b"m" * 1952),
    relay_url="https://relay.example",
    mailbox=MailboxId(b"m" * 16),
    epoch=1,
    devices=(device_key(CERTIFICATE, SIGNATURE),),
)
INVITE = Invite("Ana", "https://relay.example", MailboxId(b"m" * 16), ANA, Secret(b"t" * 32))
MANIFEST = Manifest(
    name=MessageName("7-lunar-otter"),
    sent_at=NOON,
    expires_at=NOON,
    opens=1,
    audience=((ANA, ANAS), (BEN, BENS)),
    secret=Secret(b"s" * 32),
    blobs=(BlobRef(BlobId(b"i" * 16), 5000, b"h" * 32),),
    fetch_token=Secret(b"f" * 32),
    open_token=Secret(b"o" * 32),
    relay_url="https://relay.example",
)
HEADER = Header(
    from_person=ANA,
    from_device=ANAS,
    to_person=BEN,
    to_device=BENS,
    from_epoch=1,
    to_epoch=2,
    prekey=None,
    message=MessageId(b"m" * 16),
    counter=1,
    next_key=XWingKey(b"n" * 8, b"x" * 1216),
    curve25519=b"c" * 32,
    envelope=EnvelopeId(b"e" * 16),
    body_sha256=b"h" * 32,
)
ADDRESS = Address(BEN, BENS, b"k" * 8, 2)
PREKEY = Prekey(PrekeyKind.XWING, b"k" * 8, ANAS, 1, b"x" * 1216)
CONTENT = Content((ContentFile("image/jpeg", b"picture"),), "For you")


def changed(encoded: bytes, key: int, value: object) -> bytes:
    """The same map with one value replaced; None of the keys is added by accident."""
    fields = decode(encoded)
    assert key in fields
    return encode({**fields, key: value})


# --- cards ---------------------------------------------------------------------------------------


def card_bytes(person: Person = PERSON) -> bytes:
    return write_card(write_card_statement(person, NOON), SIGNATURE)


def test_a_card_holds_the_exact_bytes_that_were_signed() -> None:
    card = read_card(card_bytes())
    assert card.person == PERSON
    assert card.statement == write_card_statement(PERSON, NOON)
    assert list(decode(card.statement)) == list(range(1, 10))
    assert card.person.devices[0].certificate == write_certificate(CERTIFICATE)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (1, 2),
        (2, ""),
        (2, "a\u202eb"),
        (2, "a" * 65),
        (3, bytes(31)),
        (4, bytes(1951)),
        (5, "ftp://relay.example"),
        (5, "https://user@relay.example"),
        (5, "https://relay.example?x"),
        (5, "https://" + "a" * 250),
        (5, "https://relay.example/\n"),
        (6, bytes(15)),
        (7, 0),
        (8, []),
        (9, 2**40),
        (10, bytes(63)),
        (11, bytes(3308)),
        (11, None),
    ],
)
def test_what_is_no_card(key: int, value: object) -> None:
    with pytest.raises(BadCard):
        read_card(changed(card_bytes(), key, value))


def test_a_card_with_seventeen_devices_is_refused() -> None:
    many = tuple(
        device_key(replace(CERTIFICATE, device=DeviceId(bytes([n]) * 16)), SIGNATURE)
        for n in range(17)
    )
    largest = card_bytes(replace(PERSON, devices=many[:16]))
    assert len(read_card(largest).person.devices) == 16
    assert len(write_body(Hello(largest, Secret(bytes(32)), None))) < 65_536 - 2048  # fits a letter
    with pytest.raises(ValueError, match="specification"):
        card_bytes(replace(PERSON, devices=many))


def test_certificates_name_one_person_and_each_device_once() -> None:
    ours = device_key(CERTIFICATE, SIGNATURE)
    bens = device_key(replace(CERTIFICATE, person=BEN, device=BENS), SIGNATURE)
    for devices in ((ours, bens), (ours, ours)):
        entries = [[d.certificate, d.signature[:64], d.signature[64:]] for d in devices]
        with pytest.raises(BadCard):
            read_card(changed(card_bytes(), 8, entries))


@pytest.mark.parametrize(
    ("key", "value"),
    [(1, 0), (2, bytes(31)), (3, bytes(17)), (4, b""), (5, "c" * 32), (6, None)],
)
def test_what_is_no_certificate(key: int, value: object) -> None:
    with pytest.raises(BadCard):
        read_certificate(changed(write_certificate(CERTIFICATE), key, value))


def test_further_keys_are_refused() -> None:
    fields = decode(write_certificate(CERTIFICATE))
    with pytest.raises(BadCard):
        read_certificate(encode({**fields, 7: None}))


# --- prekeys, invites ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "value"),
    [(0, 0), (0, 4), (0, 1), (1, bytes(7)), (2, bytes(15)), (3, 0), (4, bytes(1215))],
)
def test_what_is_no_prekey(at: int, value: object) -> None:
    fields: list[Any] = decode(write_prekey_statement(PREKEY))
    fields[at] = value
    with pytest.raises(BadPrekey):
        read_prekey(encode([encode(fields), bytes(64)]))


def test_a_prekey_names_its_kind_key_and_epoch() -> None:
    statement = write_prekey_statement(PREKEY)
    assert decode(statement) == [3, b"k" * 8, ANAS, 1, b"x" * 1216]
    assert read_prekey(write_prekey(statement, bytes(64))).prekey == PREKEY
    for signature in (bytes(63), bytes(65)):
        with pytest.raises(ValueError, match="specification"):
            write_prekey(statement, signature)


LINK = write_invite(INVITE)


def test_an_invite_is_a_short_link() -> None:
    assert LINK.startswith("entrenous:1:")
    assert len(LINK) < 200
    assert read_invite(LINK) == INVITE


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "entrenous:1:",
        LINK[:-1],
        LINK + "A",
        LINK + "=",
        LINK + "\n",
        " " + LINK,
        LINK.upper(),
        LINK.replace("entrenous:1:", "entrenous:2:"),
        LINK.replace("entrenous:1:", ""),
        LINK[:20] + "+" + LINK[21:],
        LINK[:20] + "é" + LINK[21:],
        "entrenous:1:" + "A" * 2000,
    ],
)
def test_what_is_no_invite(bad: str) -> None:
    with pytest.raises(BadInvite):
        read_invite(bad)


# --- letters -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (1, 2),
        (2, bytes(31)),
        (3, bytes(32)),
        (4, None),
        (5, "device"),
        (6, [1]),
        (6, [0, 1]),
        (6, [1, 0]),
        (7, bytes(16)),
        (8, bytes(15)),
        (9, 0),
        (9, 2**63 - 1 + 0.0),
        (10, [bytes(8), bytes(1215)]),
        (10, bytes(1216)),
        (11, bytes(33)),
        (12, [bytes(16)]),
        (12, [bytes(16), bytes(31)]),
    ],
)
def test_what_is_no_header(key: int, value: object) -> None:
    fields = {**decode(write_header(HEADER)), key: value}
    with pytest.raises(BadLetter):
        read_header(cbor2.dumps(fields, canonical=True))


def test_info_is_the_list_of_the_specification() -> None:
    assert decode(write_info(ADDRESS)) == [
        "entrenous/1 letter",
        1,
        0x647A,
        BEN,
        BENS,
        b"k" * 8,
        None,
        None,
        2,
    ]
    known = replace(ADDRESS, from_person=ANA, from_device=ANAS)
    assert decode(write_info(known))[6:8] == [ANA, ANAS]


@pytest.mark.parametrize(
    "nonsense",
    [{"key": bytes(7)}, {"epoch": 0}, {"to_person": b""}, {"from_person": ANA}],
)
def test_an_address_without_sense_is_refused(nonsense: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"specification|anybody"):
        write_info(replace(ADDRESS, **nonsense))


def test_the_outside_of_a_letter() -> None:
    sealed = write_sealed(b"k" * 8, b"opaque")
    assert sealed == b"\x01" + b"k" * 8 + b"opaque"
    assert read_sealed(sealed) == (b"k" * 8, b"opaque")
    for bad in (b"", b"\x02" + sealed[1:], sealed[:9], sealed.ljust(131_073, b"\0")):
        with pytest.raises(BadLetter):
            read_sealed(bad)
    with pytest.raises(ValueError, match="8 bytes"):
        write_sealed(b"k" * 9, b"opaque")


MESSAGE = decode(write_body(MANIFEST))[1]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (1, "two\nlines"),
        (2, None),
        (3, 2**40),
        (4, 0),
        (5, []),
        (5, [[BEN, BENS], [ANA, ANAS]]),
        (5, [[ANA, ANAS], [ANA, ANAS]]),
        (6, bytes(31)),
        (7, []),
        (7, [[bytes(16), 0, bytes(32)]]),
        (8, None),
        (9, bytes(33)),
        (10, "relay.example"),
    ],
)
def test_what_is_no_message(key: int, value: object) -> None:
    with pytest.raises(BadLetter):
        read_body(encode([2, {**MESSAGE, key: value}]))


@pytest.mark.parametrize(
    "value",
    [
        [0, None],
        [4, None],
        [1],
        [1, [b"card", bytes(32)]],
        [1, [b"card", bytes(31), None]],
        [1, [b"card", bytes(32), bytes(31)]],
        [2, {key: MESSAGE[key] for key in range(1, 10)}],
        [2, {**MESSAGE, 11: 0}],
        [3, bytes(15)],
        [3, bytes(16), None],
    ],
)
def test_what_is_no_body(value: object) -> None:
    with pytest.raises(BadLetter):
        read_body(encode(value))


def test_bodies_are_told_apart_by_their_number() -> None:
    hello = Hello(b"card", Secret(bytes(32)), None)
    recall = RecallNote(MessageId(bytes(16)))
    assert [decode(write_body(body))[0] for body in (hello, MANIFEST, recall)] == [1, 2, 3]


def test_the_manifest_is_fields_one_to_five() -> None:
    assert decode(write_manifest(MANIFEST)) == [MESSAGE[key] for key in range(1, 6)]
    another = replace(MANIFEST, secret=Secret(bytes(32)), fetch_token=Secret(bytes(32)))
    assert write_manifest(another) == write_manifest(MANIFEST)
    for differs in ({"opens": 2}, {"audience": ((ANA, ANAS),)}, {"expires_at": None}):
        assert write_manifest(replace(MANIFEST, **differs)) != write_manifest(MANIFEST)  # type: ignore[arg-type]


def test_an_audience_out_of_order_is_never_written() -> None:
    with pytest.raises(ValueError, match="specification"):
        write_body(replace(MANIFEST, audience=((BEN, BENS), (ANA, ANAS))))


def test_times_travel_as_whole_seconds() -> None:
    precise = replace(MANIFEST, sent_at=NOON.replace(microsecond=999_999))
    assert read_body(write_body(precise)) == MANIFEST


# --- content -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "padded"),
    [
        (0, 4096),
        (1, 4096),
        (4096, 4096),
        (4097, 4352),
        (1_000_000, 1_015_808),
        (5_000_000, 5_111_808),
        (268_435_456, 268_435_456),
    ],
)
def test_padme(length: int, padded: int) -> None:
    assert padded_length(length) == padded


def test_padme_costs_at_most_an_eighth_and_has_few_sizes() -> None:
    sizes = set()
    for length in range(4096, 1_000_000, 37):
        padded = padded_length(length)
        assert length <= padded <= length * 1.12
        assert padded_length(padded) == padded
        sizes.add(padded)
    assert len(sizes) < 200  # 16 or 32 for each doubling


@pytest.mark.parametrize(
    "value",
    [
        {1: 2, 2: [["image/jpeg", b""]], 3: None},
        {1: 1, 2: [], 3: None},
        {1: 1, 2: [["image/jpeg", b""]] * 65, 3: None},
        {1: 1, 2: [["image", b""]], 3: None},
        {1: 1, 2: [["image/jpeg; q=1", b""]], 3: None},
        {1: 1, 2: [["image/jpeg\n", b""]], 3: None},
        {1: 1, 2: [["image/jpeg", "text"]], 3: None},
        {1: 1, 2: [["image/jpeg", b"", b""]], 3: None},
        {1: 1, 2: [["image/jpeg", b""]], 3: b"caption"},
        {1: 1, 2: [["image/jpeg", b""]], 3: "c" * 4097},
        *(
            {1: 1, 2: [["image/jpeg", b""]], 3: f"for {acting} you"}
            for acting in ("\x1b]0;mine\x07", "\x9b2J", "\r", "\t", "\x7f", "\u202e", "\u2028")
        ),
        {1: 1, 2: [["image/jpeg", b""]]},
    ],
)
def test_what_is_no_content(value: object) -> None:
    frame = encode(value)
    framed = len(frame).to_bytes(8, "big") + frame
    with pytest.raises(BadContent):
        read_content(framed.ljust(padded_length(len(framed)), b"\0"))


def test_content_is_padded_exactly() -> None:
    padded = write_content(CONTENT)
    assert len(padded) == 4096
    assert read_content(padded) == CONTENT
    for wrong in (
        padded[:-1] + b"\x01",
        padded[:-1],
        padded + bytes(256),
        bytes(4096),
        b"\xff" * 4096,
        b"",
    ):
        with pytest.raises(BadContent):
            read_content(wrong)


@pytest.mark.parametrize(
    "caption", ["two\nlines", "\u0644\u0643 \u200f!", "a \u200d b", "\U0001fae8 new", "\ue000"]
)
def test_a_caption_in_any_script_and_of_any_year_travels(caption: str) -> None:
    content = replace(CONTENT, caption=caption)
    assert read_content(write_content(content)) == content


def test_content_that_would_be_refused_is_never_written() -> None:
    for bad in (
        Content(()),
        replace(CONTENT, caption="c" * 4097),
        replace(CONTENT, caption="\x1b[2J"),
    ):
        with pytest.raises(ValueError, match="specification"):
            write_content(bad)
