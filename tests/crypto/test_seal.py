"""Tests of sealed letters: sizes, changed parts, repeated or late letters, and stolen keys."""

import contextlib
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.identifiers import (
    BlobId,
    DeviceId,
    EnvelopeId,
    MessageId,
    MessageName,
    PersonId,
)
from entrenous.base.secret import Secret
from entrenous.crypto.hashing import sha256
from entrenous.crypto.hpke import (
    SEAL_OVERHEAD_BYTES,
    seal_to,
    xwing_private_key_from_seed,
    xwing_public_key,
)
from entrenous.crypto.identity_keys import (
    add_one_time_keys,
    curve25519_public_key,
    new_olm_account,
    replace_fallback_key,
)
from entrenous.crypto.nouns import BadKey, BadLetter, BlobRef, LetterTooLong, NotForThisMailbox
from entrenous.crypto.seal import (
    PADDED_SIZES_BYTES,
    HalfOpenedLetter,
    OpenedLetter,
    begin_session,
    letter_began_session,
    open_first_letter,
    open_letter,
    open_outer_seal,
    seal_letter,
)
from entrenous.send.formats.letter_format import (
    read_header,
    write_body,
    write_header,
    write_hpke_info,
)
from entrenous.send.letter.letter_nouns import (
    Header,
    LetterAddress,
    Manifest,
    PersonDeviceListHead,
    PublicXWingKey,
)

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
ANA, ANAS_DEVICE = PersonId(b"a" * 32), DeviceId(b"A" * 16)
BEN, BENS_DEVICE = PersonId(b"b" * 32), DeviceId(b"B" * 16)
BODY = write_body(
    Manifest(
        name=MessageName("7-lunar-otter"),
        sent_at=NOON,
        expires_at=None,
        opens=1,
        audience=((BEN, BENS_DEVICE),),
        secret=Secret(b"s" * 32),
        blobs=(BlobRef(BlobId(b"i" * 16), 5000, b"h" * 32),),
        fetch_token=Secret(b"f" * 32),
        open_token=Secret(b"o" * 32),
        relay_url="https://relay.example",
        heads=(PersonDeviceListHead(BEN, 1, b"2" * 32),),
    )
)
ADDRESS = LetterAddress(BEN, BENS_DEVICE, b"k" * 8, 1, b"2" * 32, ANA, ANAS_DEVICE)
HEADER = Header(
    from_person=ANA,
    from_device=ANAS_DEVICE,
    to_person=BEN,
    to_device=BENS_DEVICE,
    from_epoch=1,
    to_epoch=1,
    prekey=b"p" * 8,
    message=MessageId(b"m" * 16),
    counter=1,
    next_key=PublicXWingKey(b"n" * 8, xwing_public_key(xwing_private_key_from_seed(bytes(32)))),
    curve25519=b"c" * 32,
    envelope=EnvelopeId(b"e" * 16),
    body_sha256=sha256(BODY),
    from_head=b"1" * 32,
    to_head=b"2" * 32,
    token=7,
)
INFO, HEADER_BYTES = write_hpke_info(ADDRESS), write_header(HEADER)
BENS_KEY = xwing_private_key_from_seed(b"x" * 32)
ANAS_ACCOUNT = new_olm_account()


def account_with_prekey() -> tuple[Secret, bytes]:
    account, keys = add_one_time_keys(new_olm_account(), 1)
    return account, next(iter(keys.values()))


BENS_ACCOUNT, PREKEY = account_with_prekey()
ANAS_SESSION = begin_session(ANAS_ACCOUNT, curve25519_public_key(BENS_ACCOUNT), PREKEY)
SEALED, _ = seal_letter(ANAS_SESSION, xwing_public_key(BENS_KEY), INFO, HEADER_BYTES, BODY)
HALF_OPENED = open_outer_seal(BENS_KEY, INFO, SEALED)


def open_first(half_opened: HalfOpenedLetter, account: Secret = BENS_ACCOUNT) -> OpenedLetter:
    return open_first_letter(account, curve25519_public_key(ANAS_ACCOUNT), half_opened)[0]


def test_sealed_letter_opens() -> None:
    assert HALF_OPENED.begins_session
    opened = open_first(HALF_OPENED)
    assert (opened.header, opened.body) == (HEADER_BYTES, BODY)
    assert read_header(opened.header) == HEADER


def test_sealed_letter_contains_no_id_and_no_content_in_the_clear() -> None:
    for hidden in (
        ANA,
        ANAS_DEVICE,
        BEN,
        BENS_DEVICE,
        HEADER.message,
        HEADER.envelope,
        BODY[:40],
        b"otter",
    ):
        assert hidden not in SEALED


@pytest.mark.threat("hostile-network")
@pytest.mark.parametrize("body_bytes", [0, 100, 1000, 4000, 60_000, 120_000])
def test_sealed_letter_has_one_of_a_few_sizes(body_bytes: int) -> None:
    sealed, _ = seal_letter(
        ANAS_SESSION, xwing_public_key(BENS_KEY), INFO, HEADER_BYTES, bytes(body_bytes)
    )
    assert len(sealed) - SEAL_OVERHEAD_BYTES in PADDED_SIZES_BYTES
    assert open_first(open_outer_seal(BENS_KEY, INFO, sealed)).body == bytes(body_bytes)


def test_oversized_letter_body_is_refused() -> None:
    with pytest.raises(LetterTooLong, match="131072"):
        seal_letter(ANAS_SESSION, xwing_public_key(BENS_KEY), INFO, HEADER_BYTES, bytes(130_000))


# --- changed, swapped and malformed letters -------------------------------------------------------


def changed_value(value: Any) -> Any:
    """Return a different value of the same type."""
    if isinstance(value, bytes):
        return type(value)(bytes([value[0] ^ 1]) + value[1:])
    if isinstance(value, int):
        return value + 1
    if isinstance(value, PublicXWingKey):
        return PublicXWingKey(value.id, changed_value(value.public))
    raise TypeError(type(value))


@pytest.mark.threat("identity-misbinding")
@pytest.mark.parametrize("field_name", [part.name for part in fields(LetterAddress)])
def test_a_letter_does_not_open_under_another_address(field_name: str) -> None:
    swapped = replace(ADDRESS, **{field_name: changed_value(getattr(ADDRESS, field_name))})
    with pytest.raises(NotForThisMailbox):
        open_outer_seal(BENS_KEY, write_hpke_info(swapped), SEALED)


def test_letter_from_a_known_sender_does_not_open_as_from_an_unknown_one() -> None:
    anybody = replace(ADDRESS, from_person=None, from_device=None)
    with pytest.raises(NotForThisMailbox):
        open_outer_seal(BENS_KEY, write_hpke_info(anybody), SEALED)


@pytest.mark.threat("identity-misbinding")
@pytest.mark.parametrize("field_name", [part.name for part in fields(Header)])
def test_changed_header_around_the_same_olm_message_is_refused(field_name: str) -> None:
    """HPKE authenticates no sender: anybody can seal a changed header around a known ciphertext."""
    swapped = write_header(
        replace(HEADER, **{field_name: changed_value(getattr(HEADER, field_name))})
    )
    resealed = reseal(HALF_OPENED, swapped)
    with pytest.raises(NotForThisMailbox, match="not belong to its envelope"):
        open_first(open_outer_seal(BENS_KEY, INFO, resealed))


@pytest.mark.parametrize("field_name", [part.name for part in fields(LetterAddress)])
def test_olm_message_resealed_for_another_address_does_not_open(field_name: str) -> None:
    info = write_hpke_info(
        replace(ADDRESS, **{field_name: changed_value(getattr(ADDRESS, field_name))})
    )
    with pytest.raises(NotForThisMailbox, match="not belong to its envelope"):
        open_first(open_outer_seal(BENS_KEY, info, reseal(HALF_OPENED, HEADER_BYTES, info)))


def test_unchanged_letter_opens_after_resealing() -> None:
    assert (
        open_first(open_outer_seal(BENS_KEY, INFO, reseal(HALF_OPENED, HEADER_BYTES))).body == BODY
    )


def reseal(half_opened: HalfOpenedLetter, header: bytes, info: bytes = INFO) -> bytes:
    frame = (
        len(header).to_bytes(4, "big") + header + bytes([half_opened.olm_type]) + half_opened.olm
    )
    framed = len(frame).to_bytes(4, "big") + frame
    size = min(size for size in PADDED_SIZES_BYTES if size >= len(framed))
    return seal_to(xwing_public_key(BENS_KEY), info, framed.ljust(size, b"\0"))


def test_a_header_cannot_take_over_another_letters_body() -> None:
    _, session = seal_letter(ANAS_SESSION, xwing_public_key(BENS_KEY), INFO, HEADER_BYTES, BODY)
    second, _ = seal_letter(
        session,
        xwing_public_key(BENS_KEY),
        INFO,
        write_header(replace(HEADER, counter=2, message=MessageId(b"2" * 16))),
        b"other body",
    )
    mixed = replace(open_outer_seal(BENS_KEY, INFO, second), untrusted_header=HEADER_BYTES)
    with pytest.raises(NotForThisMailbox):
        open_first(mixed)


@pytest.mark.threat("key-confusion")
def test_another_sender_cannot_pose_as_ana() -> None:
    """Mallory writes a header that names Ana, but the session was begun with Mallory's key."""
    mallory = new_olm_account()
    session = begin_session(mallory, curve25519_public_key(BENS_ACCOUNT), PREKEY)
    sealed, _ = seal_letter(session, xwing_public_key(BENS_KEY), INFO, HEADER_BYTES, BODY)
    with pytest.raises(NotForThisMailbox, match="first key"):
        open_first(open_outer_seal(BENS_KEY, INFO, sealed))


@pytest.mark.threat("identity-misbinding")
def test_a_letter_to_mallory_does_not_open_for_ben() -> None:
    mallorys_account, prekey = account_with_prekey()
    session = begin_session(ANAS_ACCOUNT, curve25519_public_key(mallorys_account), prekey)
    to_mallory, _ = seal_letter(session, xwing_public_key(BENS_KEY), INFO, HEADER_BYTES, BODY)
    with pytest.raises(NotForThisMailbox):
        open_first(open_outer_seal(BENS_KEY, INFO, to_mallory))


@given(st.integers(0, len(SEALED) * 8 - 1))
def test_flipped_bit_in_letter_is_refused(bit: int) -> None:
    flipped = bytearray(SEALED)
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises(NotForThisMailbox):
        open_outer_seal(BENS_KEY, INFO, bytes(flipped))


@given(st.integers(0, len(HALF_OPENED.olm) * 8 - 1), st.integers(0, 1))
def test_flipped_bit_in_olm_message_is_refused_or_has_no_effect(bit: int, olm_type: int) -> None:
    """X25519 ignores the top bit of a key (RFC 7748 section 5), so some flips have no effect."""
    flipped = bytearray(HALF_OPENED.olm)
    flipped[bit // 8] ^= 1 << bit % 8
    changed = replace(HALF_OPENED, olm=bytes(flipped), olm_type=olm_type)
    if bit % 8 == 7 and olm_type == HALF_OPENED.olm_type:
        with contextlib.suppress(NotForThisMailbox, BadLetter):
            assert (open_first(changed).header, open_first(changed).body) == (HEADER_BYTES, BODY)
    else:
        assert_refused(changed)


@given(st.binary(max_size=300), st.integers(0, 1))
def test_random_olm_message_is_refused(olm: bytes, olm_type: int) -> None:
    assert_refused(replace(HALF_OPENED, olm=olm, olm_type=olm_type))
    assert_refused(replace(HALF_OPENED, olm=b"\x03" + olm, olm_type=olm_type))


def assert_refused(half_opened: HalfOpenedLetter) -> None:
    assert not letter_began_session(ANAS_SESSION, half_opened) or half_opened.begins_session
    with pytest.raises((NotForThisMailbox, BadLetter)):
        open_letter(ANAS_SESSION, half_opened)
    with pytest.raises((NotForThisMailbox, BadLetter)):
        open_first(half_opened)


@given(st.binary(max_size=2048))
def test_accepted_frame_has_one_encoding(untrusted: bytes) -> None:
    sealed = seal_to(xwing_public_key(BENS_KEY), INFO, untrusted.ljust(2048, b"\0"))
    try:
        half_opened = open_outer_seal(BENS_KEY, INFO, sealed)
    except BadLetter:
        return
    again = reseal(half_opened, half_opened.untrusted_header)
    assert open_outer_seal(BENS_KEY, INFO, again) == half_opened


@pytest.mark.parametrize("length", [0, 1, 2047, 2049, 131_072])
def test_plaintext_of_an_unpadded_length_is_refused(length: int) -> None:
    with pytest.raises(BadLetter):
        open_outer_seal(BENS_KEY, INFO, seal_to(xwing_public_key(BENS_KEY), INFO, bytes(length)))


def test_letter_of_a_wrong_length_is_refused_as_malformed() -> None:
    with pytest.raises(BadLetter):
        open_outer_seal(BENS_KEY, INFO, SEALED + b"\x00")


def test_padding_must_be_zero_and_minimal() -> None:
    frame = len(HEADER_BYTES).to_bytes(4, "big") + HEADER_BYTES + b"\x00" + HALF_OPENED.olm
    framed = len(frame).to_bytes(4, "big") + frame
    size = min(size for size in PADDED_SIZES_BYTES if size >= len(framed))
    for wrong in (framed.ljust(size, b"\0")[:-1] + b"\x01", framed.ljust(size * 2, b"\0")):
        with pytest.raises(BadLetter):
            open_outer_seal(BENS_KEY, INFO, seal_to(xwing_public_key(BENS_KEY), INFO, wrong))


@pytest.mark.parametrize("invalid_key", [b"", bytes(32), b"short"])
def test_session_with_invalid_keys_is_refused(invalid_key: bytes) -> None:
    with pytest.raises(BadKey):
        begin_session(ANAS_ACCOUNT, invalid_key, PREKEY)
    with pytest.raises(BadKey):
        begin_session(ANAS_ACCOUNT, curve25519_public_key(BENS_ACCOUNT), invalid_key)


# --- letters that are repeated, late or out of order ---------------------------------------------


@pytest.mark.threat("letter-twice")
def test_a_letter_does_not_open_twice_in_a_session_that_moved_on() -> None:
    opened = open_first(HALF_OPENED)
    assert letter_began_session(opened.session, HALF_OPENED)
    with pytest.raises(NotForThisMailbox, match="not continue the encrypted conversation"):
        open_letter(opened.session, HALF_OPENED)


def test_a_one_time_key_begins_one_session() -> None:
    _, account = open_first_letter(BENS_ACCOUNT, curve25519_public_key(ANAS_ACCOUNT), HALF_OPENED)
    with pytest.raises(NotForThisMailbox, match="used before"):
        open_first_letter(account, curve25519_public_key(ANAS_ACCOUNT), HALF_OPENED)


def test_fallback_key_opens_a_repeated_first_letter() -> None:
    """Olm alone accepts the repetition, so send/ records envelope ids, message ids and counters."""
    account, _, fallback = replace_fallback_key(new_olm_account())
    session = begin_session(ANAS_ACCOUNT, curve25519_public_key(account), fallback)
    sealed, _ = seal_letter(session, xwing_public_key(BENS_KEY), INFO, HEADER_BYTES, BODY)
    half_opened = open_outer_seal(BENS_KEY, INFO, sealed)
    _, after = open_first_letter(account, curve25519_public_key(ANAS_ACCOUNT), half_opened)
    again, _ = open_first_letter(after, curve25519_public_key(ANAS_ACCOUNT), half_opened)
    assert again.header == HEADER_BYTES  # contains the same counter, message id and envelope id


def half_opened_letters(count: int) -> list[HalfOpenedLetter]:
    session, letters = ANAS_SESSION, []
    for number in range(count):
        body = str(number).encode()
        sealed, session = seal_letter(session, xwing_public_key(BENS_KEY), INFO, HEADER_BYTES, body)
        letters.append(open_outer_seal(BENS_KEY, INFO, sealed))
    return letters


def test_letters_open_out_of_order() -> None:
    sent = half_opened_letters(41)
    opened = open_first(sent[0])
    for number in (40, *range(39, 0, -1)):
        opened = open_letter(opened.session, sent[number])
        assert opened.body == str(number).encode()


def test_letter_that_is_too_late_is_refused_and_later_ones_open() -> None:
    sent = half_opened_letters(50)
    session = open_letter(open_first(sent[0]).session, sent[48]).session  # skips 47 letters
    with pytest.raises(NotForThisMailbox):
        open_letter(session, sent[7])
    assert open_letter(session, sent[8]).body == b"8"
    assert open_letter(session, sent[49]).body == b"49"


# --- a long conversation, and theft of its later state ------------------------------------------


@dataclass
class ConversationEnd:
    """One end of a conversation, which rotates its keys as in docs/spec/letter.md, section 5."""

    session: Secret
    seal_to: tuple[bytes, bytes]
    keys: dict[bytes, Secret] = field(default_factory=dict)
    made_key_count: int = 0

    def make_next_key(self, salt: bytes) -> PublicXWingKey:
        self.made_key_count += 1
        private = xwing_private_key_from_seed(sha256(salt + self.made_key_count.to_bytes(4, "big")))
        key_id = self.made_key_count.to_bytes(8, "big")
        self.keys[key_id] = private
        return PublicXWingKey(key_id, xwing_public_key(private))

    def write(self, salt: bytes, body: bytes) -> tuple[bytes, bytes]:
        header = write_header(
            replace(HEADER, next_key=self.make_next_key(salt), body_sha256=sha256(body))
        )
        key_id, public = self.seal_to
        info = write_hpke_info(replace(ADDRESS, key=key_id))
        sealed, self.session = seal_letter(self.session, public, info, header, body)
        return key_id, sealed

    def read(self, key_id: bytes, sealed: bytes) -> bytes:
        half_opened = open_outer_seal(
            self.keys[key_id], write_hpke_info(replace(ADDRESS, key=key_id)), sealed
        )
        opened = open_letter(self.session, half_opened)
        self.session = opened.session
        self.keys = {one: key for one, key in self.keys.items() if one >= key_id}
        next_key = read_header(opened.header).next_key
        self.seal_to = (next_key.id, next_key.public)
        return opened.body


def conversation_ends() -> tuple[ConversationEnd, ConversationEnd]:
    bens_first = PublicXWingKey(bytes(8), xwing_public_key(BENS_KEY))
    ana = ConversationEnd(ANAS_SESSION, (bens_first.id, bens_first.public))
    ben = ConversationEnd(open_first(HALF_OPENED).session, (b"", b""), {bens_first.id: BENS_KEY})
    _, ana.session = seal_letter(ANAS_SESSION, bens_first.public, INFO, HEADER_BYTES, BODY)
    return ana, ben


@pytest.mark.slow
def test_a_thousand_letters_open_in_both_directions() -> None:
    ana, ben = conversation_ends()
    for number in range(500):
        body = b"to Ben " + str(number).encode()
        assert ben.read(*ana.write(b"ana", body)) == body
        body = b"to Ana " + str(number).encode()
        assert ana.read(*ben.write(b"ben", body)) == body
        assert len(ana.keys) <= 2
        assert len(ben.keys) <= 2
    assert ana.seal_to[0] == (500).to_bytes(8, "big")


@pytest.mark.threat("later-theft")
def test_keys_stolen_later_do_not_open_earlier_letters() -> None:
    ana, ben = conversation_ends()
    early_session, early_keys = ben.session, dict(ben.keys)
    key_id, sealed = ana.write(b"ana", b"early")
    info = write_hpke_info(replace(ADDRESS, key=key_id))
    ben.read(key_id, sealed)
    for _ in range(3):
        ana.read(*ben.write(b"ben", b"later"))
        ben.read(*ana.write(b"ana", b"later"))
    # Ben's earlier key and session open the letter, so the letter is intact.
    half_opened = open_outer_seal(early_keys[key_id], info, sealed)
    assert open_letter(early_session, half_opened).body == b"early"
    # None of the HPKE keys that Ben still has opens the letter.
    assert ben.keys
    for private in ben.keys.values():
        with pytest.raises(NotForThisMailbox):
            open_outer_seal(private, info, sealed)
    # Even without the HPKE layer, Ben's later Olm session does not open the letter.
    with pytest.raises(NotForThisMailbox):
        open_letter(ben.session, half_opened)
    # Ana's Olm session, with which she sealed the letter, does not open the letter.
    with pytest.raises(NotForThisMailbox):
        open_letter(ana.session, half_opened)
