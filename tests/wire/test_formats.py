"""Tests of the formats of keys, invites, letters and content: refusals, encodings and sizes."""

import io
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import cbor2
import pytest

from entrenous.base.copies import Receipt, ReceiptEvent, ReceiptProof, Receipts
from entrenous.base.identifiers import (
    BlobId,
    DeviceId,
    EnvelopeId,
    MailboxId,
    MessageId,
    MessageName,
    PersonId,
)
from entrenous.base.identity import (
    BadKeyBundle,
    BadPrekey,
    BatchPosition,
    BatchRoot,
    DeviceCertificate,
    DeviceList,
    DeviceListStatement,
    KeyBundle,
    ListedDevice,
    MasterPublicKeys,
    Prekey,
    PrekeyKind,
    ProtocolRange,
    RevocationReason,
    RevokedDevice,
    SignedBatch,
    SignedDeviceCertificate,
)
from entrenous.base.limits import PREKEY_BYTES_MAX
from entrenous.base.secret import Secret
from entrenous.crypto.nouns import BadLetter, BlobRef
from entrenous.send.formats.identity_formats import (
    read_invite_link,
    read_prekey,
    write_invite_link,
    write_prekey,
    write_prekey_statement,
)
from entrenous.send.formats.letter_format import (
    read_body,
    read_header,
    read_sealed_letter,
    write_body,
    write_header,
    write_hpke_info,
    write_sealed_letter,
)
from entrenous.send.formats.message_format import (
    UnpaddingWriter,
    padded_length,
    padded_reader,
    read_frame,
    write_frame,
    write_manifest,
)
from entrenous.send.letter.letter_nouns import (
    BadContent,
    ComparisonStep,
    ContactRequestNote,
    FileRole,
    Header,
    Hello,
    KeyBundleNote,
    LetterAddress,
    Manifest,
    MessageFileEntry,
    MessageFrame,
    MessageReference,
    PersonDeviceListHead,
    PublicXWingKey,
    Reaction,
    RecallNote,
    SyncNote,
    SyncTopic,
    TokenRangeNote,
    UnknownBody,
    UsedUpLinkNote,
)
from entrenous.send.people.people_nouns import BadInvite, Invite
from entrenous.wire.cbor import decode, encode
from entrenous.wire.key_bundle import (
    newest_lists_that_fit,
    read_certificate,
    read_device_list,
    read_key_bundle,
    signed_batch_fields,
    write_batch,
    write_certificate,
    write_device_list,
    write_key_bundle,
)
from entrenous.wire.receipt import RECEIPT_PROOF_BYTES_MAX, write_receipt_proof

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
ANA, BEN = PersonId(b"a" * 32), PersonId(b"b" * 32)
ANAS_DEVICE, BENS_DEVICE = DeviceId(b"A" * 16), DeviceId(b"B" * 16)
SIGNATURE = bytes(3373)
CERTIFICATE = DeviceCertificate(ANA, ANAS_DEVICE, b"e" * 32, b"c" * 32, b"q" * 32, NOON, (1, 2, 3))
SIGNED_CERTIFICATE = SignedDeviceCertificate(CERTIFICATE, write_certificate(CERTIFICATE), SIGNATURE)
REVOKED_DEVICE = RevokedDevice(DeviceId(b"Z" * 16), NOON, RevocationReason.LOST)
DEVICE_LIST = DeviceList(
    person=ANA,
    epoch=2,
    previous=b"p" * 32,
    devices=(ListedDevice(ANAS_DEVICE, b"h" * 32, MailboxId(b"m" * 16)),),
    revoked=(REVOKED_DEVICE,),
    name="Ana",
    speaks=ProtocolRange(2, 2),
    issued_at=NOON,
    relay_url="https://relay.example",
)


def statement_of(devices: DeviceList = DEVICE_LIST) -> DeviceListStatement:
    return read_device_list(write_device_list(devices))


KEY_BUNDLE = KeyBundle(
    MasterPublicKeys(b"e" * 32, b"m" * 1952), (statement_of(),), SIGNATURE, (SIGNED_CERTIFICATE,)
)
INVITE = Invite("Ana", "https://relay.example", MailboxId(b"m" * 16), ANA, Secret(b"t" * 32))
MANIFEST = Manifest(
    name=MessageName("7-lunar-otter"),
    sent_at=NOON,
    expires_at=NOON,
    opens=1,
    audience=((ANA, ANAS_DEVICE), (BEN, BENS_DEVICE)),
    secret=Secret(b"s" * 32),
    blobs=(BlobRef(BlobId(b"i" * 16), 5000, b"h" * 32),),
    fetch_token=Secret(b"f" * 32),
    open_token=Secret(b"o" * 32),
    relay_url="https://relay.example",
    heads=(PersonDeviceListHead(ANA, 1, b"1" * 32), PersonDeviceListHead(BEN, 2, b"2" * 32)),
)
HEADER = Header(
    from_person=ANA,
    from_device=ANAS_DEVICE,
    to_person=BEN,
    to_device=BENS_DEVICE,
    from_epoch=1,
    to_epoch=2,
    prekey=None,
    message=MessageId(b"m" * 16),
    counter=1,
    next_key=PublicXWingKey(b"n" * 8, b"x" * 1216),
    curve25519=b"c" * 32,
    envelope=EnvelopeId(b"e" * 16),
    body_sha256=b"h" * 32,
    from_head=b"1" * 32,
    to_head=b"2" * 32,
    token=None,
)
ADDRESS = LetterAddress(BEN, BENS_DEVICE, b"k" * 8, 2, b"2" * 32)
BATCH = BatchRoot(ANAS_DEVICE, MailboxId(b"m" * 16), 52, b"r" * 32)
SIGNED_BATCH = SignedBatch(BATCH, write_batch(BATCH), b"q" * 1952, SIGNATURE)
BATCH_FIELDS = signed_batch_fields(SIGNED_BATCH)
BATCH_POSITION = BatchPosition(51, (b"1" * 32, b"2" * 32, b"3" * 32))
PREKEY = Prekey(PrekeyKind.XWING, b"k" * 8, ANAS_DEVICE, 1, b"1" * 32, NOON, b"x" * 1216)
FRAME = MessageFrame((MessageFileEntry("image/jpeg", 7, FileRole.PICTURE),), "For you")


def with_field(encoded: bytes, key: int, value: object) -> bytes:
    """Return the map with one existing value replaced."""
    fields = decode(encoded)
    assert key in fields
    return encode({**fields, key: value})


# --- certificates, lists, key bundles -------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *((1, 1), (2, bytes(31)), (3, bytes(17)), (4, b""), (5, "c" * 32), (6, None)),
        *((7, None), (7, [2, 1]), (7, [1, 1]), (7, ["1"]), (7, list(range(17)))),
    ],
)
def test_malformed_certificate_is_refused(key: int, value: object) -> None:
    with pytest.raises(BadKeyBundle):
        read_certificate(with_field(write_certificate(CERTIFICATE), key, value))


def test_unknown_map_keys_are_refused() -> None:
    for statement, read in (
        (write_certificate(CERTIFICATE), read_certificate),
        (write_device_list(DEVICE_LIST), read_device_list),
        (write_key_bundle(KEY_BUNDLE), read_key_bundle),
    ):
        fields = decode(statement)
        with pytest.raises(BadKeyBundle):
            read(encode({**fields, len(fields) + 1: None}))


def test_unknown_enforced_limits_are_kept() -> None:
    newer = replace(CERTIFICATE, enforces=(1, 99))
    assert read_certificate(write_certificate(newer)) == newer


DEVICE_LIST_FIELDS = decode(write_device_list(DEVICE_LIST))
DEVICE_FIELDS, REVOKED_FIELDS = DEVICE_LIST_FIELDS[5][0], DEVICE_LIST_FIELDS[6][0]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (1, 1),
        (2, bytes(31)),
        (3, 0),
        (3, 1),  # a first list has no predecessor
        (4, None),  # every later list has a predecessor
        (4, bytes(31)),
        (5, []),
        (5, [DEVICE_FIELDS, DEVICE_FIELDS]),
        (5, [DEVICE_FIELDS, [bytes(16), bytes(32), b"n" * 16]]),
        (
            5,
            [DEVICE_FIELDS, [b"B" * 16, bytes(32), DEVICE_FIELDS[2]]],
        ),  # two devices at one mailbox
        (5, [[ANAS_DEVICE, bytes(31), bytes(16)]]),
        (5, [[ANAS_DEVICE, bytes(32), bytes(15)]]),
        (5, [[REVOKED_DEVICE.device, bytes(32), bytes(16)]]),
        (6, None),
        (6, [REVOKED_FIELDS, REVOKED_FIELDS]),
        (6, [[ANAS_DEVICE, 0, 1]]),
        (6, [[bytes(16), 0, 0]]),
        (6, [[bytes(16), 0, 3]]),
        (6, [[bytes([n, *bytes(15)]), 0, 1] for n in range(65)]),
        (7, ""),
        (7, "a\u202eb"),
        (7, "a" * 65),
        (8, [2]),
        (8, [0, 2]),
        (8, [3, 2]),
        (8, [2, 65_536]),
        (9, 2**40),
        (10, "ftp://relay.example"),
        (10, "https://user@relay.example"),
        (10, "https://relay.example?x"),
        (10, "https://" + "a" * 250),
        (10, "https://relay.example/\n"),
    ],
)
def test_malformed_device_list_is_refused(key: int, value: object) -> None:
    with pytest.raises(BadKeyBundle):
        read_device_list(with_field(write_device_list(DEVICE_LIST), key, value))


def test_a_list_holds_the_exact_bytes_that_were_signed() -> None:
    assert statement_of().said == DEVICE_LIST
    assert statement_of().statement == write_device_list(DEVICE_LIST)
    first = replace(DEVICE_LIST, epoch=1, previous=None)
    assert statement_of(first).said == first
    assert decode(statement_of(first).statement)[4] is None


def test_key_bundle_holds_the_exact_bytes_that_were_signed() -> None:
    bundle = read_key_bundle(write_key_bundle(KEY_BUNDLE))
    assert bundle == KEY_BUNDLE
    assert bundle.newest.statement == write_device_list(DEVICE_LIST)
    assert bundle.certificates[0].statement == write_certificate(CERTIFICATE)


def successive_lists(count: int, **fields: Any) -> tuple[DeviceListStatement, ...]:
    return tuple(statement_of(replace(DEVICE_LIST, epoch=2 + n, **fields)) for n in range(count))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (1, 1),
        (2, bytes(31)),
        (3, bytes(1951)),
        (4, []),
        (4, [b""]),
        (4, [statement_of().statement] * 2),
        (4, [one.statement for one in reversed(successive_lists(2))]),
        (4, [one.statement for one in successive_lists(65)]),
        (
            4,
            [
                statement_of().statement,
                statement_of(replace(DEVICE_LIST, person=BEN, epoch=3)).statement,
            ],
        ),
        (5, bytes(63)),
        (6, bytes(3308)),
        (6, None),
        (7, []),
        (7, [[SIGNED_CERTIFICATE.statement, bytes(64)]]),
        (7, [[SIGNED_CERTIFICATE.statement, bytes(64), bytes(3309)]] * 2),
    ],
)
def test_malformed_key_bundle_is_refused(key: int, value: object) -> None:
    with pytest.raises(BadKeyBundle):
        read_key_bundle(with_field(write_key_bundle(KEY_BUNDLE), key, value))


def test_key_bundle_has_one_certificate_for_each_device_in_order() -> None:
    bens_certificate = replace(
        SIGNED_CERTIFICATE, certificate=replace(CERTIFICATE, device=BENS_DEVICE)
    )
    bens_certificate = replace(
        bens_certificate, statement=write_certificate(bens_certificate.certificate)
    )
    two = (*DEVICE_LIST.devices, ListedDevice(BENS_DEVICE, bytes(32), MailboxId(bytes(16))))
    both = replace(
        KEY_BUNDLE,
        lists=(statement_of(replace(DEVICE_LIST, devices=two)),),
        certificates=(SIGNED_CERTIFICATE, bens_certificate),
    )
    assert read_key_bundle(write_key_bundle(both)) == both
    for wrong in (
        (SIGNED_CERTIFICATE,),
        (bens_certificate, SIGNED_CERTIFICATE),
        (SIGNED_CERTIFICATE, SIGNED_CERTIFICATE),
    ):
        with pytest.raises(ValueError, match="specification"):
            write_key_bundle(replace(both, certificates=wrong))


def test_largest_key_bundle_fits_a_letter_by_dropping_older_lists() -> None:
    devices = tuple(
        ListedDevice(DeviceId(bytes([n]) * 16), bytes(32), MailboxId(bytes([n]) * 16))
        for n in range(16)
    )
    revoked = tuple(replace(REVOKED_DEVICE, device=DeviceId(bytes([99, n]) * 8)) for n in range(64))
    lists = newest_lists_that_fit(successive_lists(70, devices=devices, revoked=revoked))
    certificates = tuple(replace(CERTIFICATE, device=one.device) for one in devices)
    signed = tuple(
        SignedDeviceCertificate(one, write_certificate(one), SIGNATURE) for one in certificates
    )
    bundle = write_key_bundle(replace(KEY_BUNDLE, lists=lists, certificates=signed))
    assert read_key_bundle(bundle).newest.said.epoch == 71
    assert sum(len(one.statement) for one in lists) <= 32_768 < 12 * len(lists[0].statement)
    assert len(write_body(Hello(bundle, Secret(bytes(32)), 0, None))) < 131_072 - 2048
    assert newest_lists_that_fit(successive_lists(70)) == successive_lists(70)[-64:]


# --- prekeys, receipt proofs, invites ------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "value"),
    [
        *((0, 0), (0, 4), (0, 1), (1, bytes(7)), (2, bytes(15)), (3, 0), (4, bytes(31))),
        *((4, None), (5, 2**40), (6, bytes(1215))),
    ],
)
def test_malformed_prekey_is_refused(at: int, value: object) -> None:
    fields: list[Any] = decode(write_prekey_statement(PREKEY))
    fields[at] = value
    with pytest.raises(BadPrekey):
        read_prekey(encode([encode(fields), b"\x33", [], BATCH_FIELDS]))


def test_prekey_statement_follows_the_specification() -> None:
    statement = write_prekey_statement(PREKEY)
    made_at = int(NOON.timestamp())
    assert decode(statement) == [3, b"k" * 8, ANAS_DEVICE, 1, b"1" * 32, made_at, b"x" * 1216]
    assert read_prekey(write_prekey(statement, BATCH_POSITION, SIGNED_BATCH)).prekey == PREKEY
    for size in (3372, 3374):
        with pytest.raises(ValueError, match="specification"):
            write_prekey(statement, BATCH_POSITION, replace(SIGNED_BATCH, signature=bytes(size)))


def test_only_an_xwing_prekey_carries_its_batch() -> None:
    one_time = replace(PREKEY, kind=PrekeyKind.ONE_TIME, public=b"c" * 32)
    statement = write_prekey_statement(one_time)
    read = read_prekey(write_prekey(statement, BATCH_POSITION, None))
    assert (read.prekey, read.place, read.batch) == (one_time, BATCH_POSITION, None)
    xwing = read_prekey(write_prekey(write_prekey_statement(PREKEY), BATCH_POSITION, SIGNED_BATCH))
    assert (xwing.prekey, xwing.place, xwing.batch) == (PREKEY, BATCH_POSITION, SIGNED_BATCH)
    with pytest.raises(ValueError, match="specification"):
        write_prekey(statement, BATCH_POSITION, SIGNED_BATCH)
    with pytest.raises(ValueError, match="specification"):
        write_prekey(write_prekey_statement(PREKEY), BATCH_POSITION, None)


@pytest.mark.parametrize(
    ("at", "value"),
    [
        *((0, bytes(15)), (0, None), (1, bytes(15)), (1, 0), (2, 0), (2, 65), (3, bytes(31))),
        *((3, None), (4, 0)),
    ],
)
def test_malformed_batch_is_refused(at: int, value: object) -> None:
    fields: list[Any] = decode(write_batch(BATCH))
    fields[at:] = [value, *fields[at + 1 :]]
    entry = [encode(fields), *BATCH_FIELDS[1:]]
    with pytest.raises(BadPrekey):
        read_prekey(encode([write_prekey_statement(PREKEY), b"\x33", [], entry]))


def test_the_longest_prekeys_and_proofs_keep_within_their_limits() -> None:
    path = tuple(bytes([n]) * 32 for n in range(6))
    longest = write_prekey(write_prekey_statement(PREKEY), BatchPosition(51, path), SIGNED_BATCH)
    assert len(longest) == 6_905 < PREKEY_BYTES_MAX
    proof = write_receipt_proof(ReceiptProof(BatchPosition(63, path), SIGNED_BATCH))
    assert len(proof) == 5_615 < RECEIPT_PROOF_BYTES_MAX
    several = write_body(Receipts((RECEIPT,) * 64, SIGNED_BATCH))
    assert len(several) < 16_384 - 2048  # 2,048 bytes of the letter are left for its other parts
    assert len(write_body(Receipts((RECEIPT,) * 5, SIGNED_BATCH))) < 8192 - 2048


INVITE_LINK = write_invite_link(INVITE)


def test_invite_is_a_short_link_that_is_read_back() -> None:
    assert INVITE_LINK.startswith("entrenous:1:")
    assert len(INVITE_LINK) < 200
    assert read_invite_link(INVITE_LINK) == INVITE


@pytest.mark.parametrize(
    "malformed_link",
    [
        "",
        "entrenous:1:",
        INVITE_LINK[:-1],
        INVITE_LINK + "A",
        INVITE_LINK + "=",
        INVITE_LINK + "\n",
        " " + INVITE_LINK,
        INVITE_LINK.upper(),
        INVITE_LINK.replace("entrenous:1:", "entrenous:2:"),
        INVITE_LINK.replace("entrenous:1:", ""),
        INVITE_LINK[:20] + "+" + INVITE_LINK[21:],
        INVITE_LINK[:20] + "é" + INVITE_LINK[21:],
        "entrenous:1:" + "A" * 2000,
    ],
)
def test_malformed_invite_is_refused(malformed_link: str) -> None:
    with pytest.raises(BadInvite):
        read_invite_link(malformed_link)


# --- letters -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (1, 1),
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
        (13, [bytes(32)]),
        (13, [bytes(32), bytes(31)]),
        (13, None),
        (14, bytes(8)),
    ],
)
def test_malformed_letter_header_is_refused(key: int, value: object) -> None:
    fields = {**decode(write_header(HEADER)), key: value}
    with pytest.raises(BadLetter):
        read_header(cbor2.dumps(fields, canonical=True))


def test_hpke_info_follows_the_specification() -> None:
    assert decode(write_hpke_info(ADDRESS)) == [
        "entrenous/2 letter",
        2,
        0x647A,
        BEN,
        BENS_DEVICE,
        b"k" * 8,
        None,
        None,
        2,
        b"2" * 32,
    ]
    known = replace(ADDRESS, from_person=ANA, from_device=ANAS_DEVICE)
    assert decode(write_hpke_info(known))[6:8] == [ANA, ANAS_DEVICE]


@pytest.mark.parametrize(
    "fields",
    [{"key": bytes(7)}, {"epoch": 0}, {"head": b""}, {"to_person": b""}, {"from_person": ANA}],
)
def test_invalid_letter_address_is_not_written(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"specification|anybody"):
        write_hpke_info(replace(ADDRESS, **fields))


def test_sealed_letter_has_version_key_id_and_ciphertext() -> None:
    sealed = write_sealed_letter(b"k" * 8, b"opaque")
    assert sealed == b"\x02" + b"k" * 8 + b"opaque"
    assert read_sealed_letter(sealed) == (b"k" * 8, b"opaque")
    for malformed in (b"", b"\x01" + sealed[1:], sealed[:9], sealed.ljust(163_841, b"\0")):
        with pytest.raises(BadLetter):
            read_sealed_letter(malformed)
    with pytest.raises(ValueError, match="8 bytes"):
        write_sealed_letter(b"k" * 9, b"opaque")


MESSAGE_FIELDS = decode(write_body(MANIFEST))[1]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (1, "two\nlines"),
        (2, None),
        (3, 2**40),
        (4, 0),
        (5, []),
        (5, [[BEN, BENS_DEVICE], [ANA, ANAS_DEVICE]]),
        (5, [[ANA, ANAS_DEVICE], [ANA, ANAS_DEVICE]]),
        (6, bytes(31)),
        (7, []),
        (7, [[bytes(16), 0, bytes(32)]]),
        (7, [MESSAGE_FIELDS[7][0]] * 66),
        (8, None),
        (9, bytes(33)),
        (10, "relay.example"),
        (11, []),
        (11, MESSAGE_FIELDS[11][:1]),
        (11, MESSAGE_FIELDS[11][::-1]),
        (11, [*MESSAGE_FIELDS[11], [b"c" * 32, 1, bytes(32)]]),
        (11, [MESSAGE_FIELDS[11][0], [BEN, 0, bytes(32)]]),
        (11, [MESSAGE_FIELDS[11][0], [BEN, 1, bytes(31)]]),
        (12, None),
        (12, [bytes(32)]),
        (12, [None]),
        (13, [bytes(32)]),
        (13, [bytes(32), bytes(15)]),
        (14, bytes(15)),
        (14, ""),
        (15, 2),
        (15, None),
    ],
)
def test_malformed_message_is_refused(key: int, value: object) -> None:
    with pytest.raises(BadLetter):
        read_body(encode([2, {**MESSAGE_FIELDS, key: value}]))


def test_an_export_is_allowed_only_where_openings_are_counted() -> None:
    assert read_body(encode([2, {**MESSAGE_FIELDS, 15: 1}])) == replace(MANIFEST, may_export=True)
    with pytest.raises(BadLetter):
        read_body(encode([2, {**MESSAGE_FIELDS, 4: None, 15: 1}]))


RECEIPT = Receipt(
    ReceiptEvent.OPENED, MessageId(bytes(16)), EnvelopeId(bytes(16)), NOON, bytes(32), b"l" * 32
)
BODIES_BY_NUMBER = {
    1: Hello(b"card", Secret(bytes(32)), 0, None),
    2: MANIFEST,
    3: RecallNote(MessageId(bytes(16))),
    4: KeyBundleNote(b"card"),
    5: SyncNote(SyncTopic.CIRCLE, b"record"),
    6: Receipts((RECEIPT,), SIGNED_BATCH),
    7: Reaction(ANA, MessageId(bytes(16)), "\u2764"),
    8: ComparisonStep(bytes(16), 1, b"mac"),
    9: TokenRangeNote(Secret(bytes(32)), 64),
    10: ContactRequestNote(b"card", "It is Ana, from the market"),
    11: UsedUpLinkNote(b"l" * 32),
    12: UnknownBody(12, encode([1, "later"])),
}


def test_letter_bodies_are_distinguished_by_number() -> None:
    for number, body in BODIES_BY_NUMBER.items():
        encoded = write_body(body)
        assert decode(encoded)[0] == number
        assert read_body(encoded) == body


@pytest.mark.parametrize(
    "value",
    [
        [0, None],
        [65_536, None],
        [1],
        [1, [b"card", bytes(32), 0]],
        [1, [b"card", bytes(31), 0, None]],
        [1, [b"card", bytes(32), None, None]],
        [1, [b"card", bytes(32), 2**53 + 1, None]],
        [1, [b"card", bytes(32), 0, bytes(31)]],
        [1, [bytes(98_305), bytes(32), 0, None]],
        [2, {key: MESSAGE_FIELDS[key] for key in range(1, 15)}],
        [2, {**MESSAGE_FIELDS, 16: 0}],
        [3, bytes(15)],
        [3, bytes(16), None],
        [4, "card"],
        [4, bytes(98_305)],
        [5, [0, b""]],
        [5, [7, b""]],
        [5, [1, bytes(102_401)]],
        [6, [[], BATCH_FIELDS]],
        [6, [[[0, bytes(16), bytes(16), 0, bytes(32), bytes(32)]], BATCH_FIELDS]],
        [6, [[[4, bytes(16), bytes(16), 0, bytes(32), bytes(32)]], BATCH_FIELDS]],
        [6, [[[1, bytes(16), bytes(16), 0, bytes(32), bytes(31)]], BATCH_FIELDS]],
        [6, [[[1, bytes(16), bytes(16), 0, bytes(32), bytes(32)]] * 65, BATCH_FIELDS]],
        [6, [[1, bytes(16), bytes(16), 0, bytes(32), bytes(64)]]],
        [6, [[[1, bytes(16), bytes(16), 0, bytes(32), bytes(32)]], None]],
        [7, [bytes(32), bytes(16), ""]],
        [7, [bytes(32), bytes(16), "a" * 33]],
        [7, [bytes(32), bytes(16), "\u2764" * 11]],
        [7, [bytes(32), bytes(16), "\x1b"]],
        [8, [bytes(16), 0, b""]],
        [8, [bytes(16), 5, b""]],
        [8, [bytes(16), 1, bytes(97)]],
        [9, [bytes(31), 0]],
        [9, [bytes(32), None]],
        [9, [bytes(32), 2**53 + 1]],
        [10, [b"card", "n" * 281]],
        [10, [b"card", "\x1b[2J"]],
        [10, [b"card", None]],
    ],
)
def test_malformed_letter_body_is_refused(value: object) -> None:
    with pytest.raises(BadLetter):
        read_body(encode(value))


def test_manifest_has_the_fields_to_which_the_content_key_is_bound() -> None:
    assert decode(write_manifest(MANIFEST)) == [
        MESSAGE_FIELDS[key] for key in (1, 2, 3, 4, 5, 11, 12, 13, 14, 15)
    ]
    another = replace(MANIFEST, secret=Secret(bytes(32)), fetch_token=Secret(bytes(32)))
    assert write_manifest(another) == write_manifest(MANIFEST)
    for changed_field in (
        *(
            {"opens": 2},
            {"audience": ((ANA, ANAS_DEVICE),)},
            {"expires_at": None},
            {"circle": bytes(16)},
        ),
        {"may_export": True},
        *(
            {"heads": ()},
            {"marks": (None,)},
            {"reply": MessageReference(ANA, MessageId(bytes(16)))},
        ),
    ):
        assert write_manifest(replace(MANIFEST, **changed_field)) != write_manifest(MANIFEST)  # type: ignore[arg-type]


def test_unsorted_audience_is_not_written() -> None:
    with pytest.raises(ValueError, match="specification"):
        write_body(replace(MANIFEST, audience=((BEN, BENS_DEVICE), (ANA, ANAS_DEVICE))))


def test_times_are_written_as_whole_seconds() -> None:
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
def test_padme_sizes_match_the_specification(length: int, padded: int) -> None:
    assert padded_length(length) == padded


@pytest.mark.threat("hostile-network")
def test_padme_costs_at_most_12_percent_and_has_few_sizes() -> None:
    sizes = set()
    for length in range(4096, 1_000_000, 37):
        padded = padded_length(length)
        assert length <= padded <= length * 1.12
        assert padded_length(padded) == padded
        sizes.add(padded)
    assert len(sizes) < 200  # between two powers of two there are 16 or 32 padded lengths


JPEG_FIELDS = ["image/jpeg", 7, 1]


@pytest.mark.threat("terminal-writing")
@pytest.mark.parametrize(
    "value",
    [
        {1: 1, 2: [JPEG_FIELDS], 3: None},
        {1: 2, 2: [], 3: None},
        {1: 2, 2: [], 3: ""},
        {1: 2, 2: [JPEG_FIELDS] * 65, 3: None},
        {1: 2, 2: [["image", 7, 1]], 3: None},
        {1: 2, 2: [["image/jpeg; q=1", 7, 1]], 3: None},
        {1: 2, 2: [["image/jpeg\n", 7, 1]], 3: None},
        {1: 2, 2: [["image/jpeg", 0, 1]], 3: None},
        {1: 2, 2: [["image/jpeg", b"data", 1]], 3: None},
        {1: 2, 2: [["image/jpeg", 7, 0]], 3: None},
        {1: 2, 2: [["image/jpeg", 7, 4]], 3: None},
        {1: 2, 2: [["image/jpeg", 7]], 3: None},
        {1: 2, 2: [JPEG_FIELDS], 3: b"caption"},
        {1: 2, 2: [JPEG_FIELDS], 3: "c" * 16_385},
        *(
            {1: 2, 2: [JPEG_FIELDS], 3: f"for {characters} you"}
            for characters in ("\x1b]0;mine\x07", "\x9b2J", "\r", "\t", "\x7f", "\u202e", "\u2028")
        ),
        {1: 2, 2: [JPEG_FIELDS]},
    ],
)
def test_malformed_frame_is_refused(value: object) -> None:
    frame = encode(value)
    framed = len(frame).to_bytes(8, "big") + frame
    with pytest.raises(BadContent):
        read_frame(framed.ljust(padded_length(len(framed)), b"\0"))


def test_a_frame_is_padded_exactly() -> None:
    padded = write_frame(FRAME)
    assert len(padded) == 4096
    assert read_frame(padded) == FRAME
    for wrong in (
        padded[:-1] + b"\x01",
        padded[:-1],
        padded + bytes(256),
        bytes(4096),
        b"\xff" * 4096,
        b"",
    ):
        with pytest.raises(BadContent):
            read_frame(wrong)


def remove_padding(padded: bytes, size: int) -> bytes:
    file = io.BytesIO()
    inside = UnpaddingWriter(file, size)
    for at in range(0, len(padded), 1000):
        inside.write(padded[at : at + 1000])
    inside.require_complete()
    return file.getvalue()


@pytest.mark.parametrize("size", [1, 4095, 4096, 4097, 1_000_000])
def test_a_file_is_padded_exactly(size: int) -> None:
    data = b"f" * size
    padded = padded_reader(data).read()
    assert len(padded) == padded_length(size)
    assert remove_padding(padded, size) == data
    for wrong, stated_size in (
        (padded[:-1], size),
        (padded + bytes(1), size),
        (padded, 2 * size + 4096),
        (padded, 0),
    ):
        with pytest.raises(BadContent):
            remove_padding(wrong, stated_size)
    if len(padded) > size:
        with pytest.raises(BadContent):
            remove_padding(padded[:-1] + b"\x01", size)
        with pytest.raises(BadContent):
            remove_padding(padded, size - 1)
    with pytest.raises(ValueError, match="one byte"):
        padded_reader(b"").read()


@pytest.mark.parametrize(
    "text", ["two\nlines", "\u0644\u0643 \u200f!", "a \u200d b", "\U0001fae8 new", "\ue000"]
)
def test_text_in_any_script_is_read_back(text: str) -> None:
    for frame in (replace(FRAME, text=text), MessageFrame((), text)):
        assert read_frame(write_frame(frame)) == frame


def test_invalid_frame_is_not_written() -> None:
    for invalid in (
        MessageFrame(()),
        replace(FRAME, text="c" * 16_385),
        replace(FRAME, text="\x1b[2J"),
    ):
        with pytest.raises(ValueError, match="specification"):
            write_frame(invalid)
