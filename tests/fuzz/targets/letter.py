"""Targets for encrypted messages: outer seal, Olm message, header, bodies, receipts, files."""

import io
from collections.abc import Callable
from typing import Final

import vodozemac

from entrenous.base.errors import Malformed
from entrenous.base.secret import Secret
from entrenous.crypto.identity_keys import ed25519_public_key, new_olm_account
from entrenous.crypto.nouns import NotForThisMailbox
from entrenous.crypto.seal import (
    PADDED_SIZES_BYTES,
    HalfOpenedLetter,
    _parse_inner_letter,
    _write_inner_letter,
    letter_began_session,
    open_first_letter,
    open_letter,
    open_outer_seal,
)
from entrenous.send.formats.letter_format import (
    read_body,
    read_header,
    read_sealed_letter,
    write_body,
    write_header,
    write_sealed_letter,
)
from entrenous.send.formats.message_format import (
    UnpaddingWriter,
    _remove_padding,
    padded_length,
    padded_reader,
    read_frame,
    write_frame,
)
from entrenous.wire.cbor import encode
from entrenous.wire.receipt import (
    RECEIPT_PROOF_BYTES_MAX,
    read_receipt_proof,
    read_receipt_statement,
    write_receipt_proof,
    write_receipt_statement,
)
from tests.fuzz.mutate import change_cbor, mutation_inside
from tests.fuzz.seeds import HEADER, MESSAGE_BODIES, vector_bytes, vectors
from tests.fuzz.target import Target, canonical_round_trip, property_check

_REFUSALS: Final = (Malformed, NotForThisMailbox)
_LENGTH_BYTES: Final = 8


def _pad_frame(encoded_frame: bytes) -> bytes:
    whole = len(encoded_frame).to_bytes(_LENGTH_BYTES, "big") + encoded_frame
    return whole.ljust(padded_length(len(whole)), b"\0")


def _unpad_file(untrusted: bytes) -> tuple[int, bytes]:
    """Return the size that the first three bytes state, and the file without padding."""
    size = int.from_bytes(untrusted[:3], "big")
    file = io.BytesIO()
    writer = UnpaddingWriter(file, size)
    writer.write(untrusted[3:])
    writer.require_complete()
    return size, file.getvalue()


def _pad_and_parse_inner_letter(untrusted: bytes) -> tuple[bytes, int, bytes]:
    """Pad the input with zeros to the smallest size, and parse it as a letter's inner part."""
    return _parse_inner_letter(untrusted.ljust(PADDED_SIZES_BYTES[0], b"\0"))


def _sealed_letter_vector() -> dict[str, str]:
    return next(one for one in vectors("letter", "crypto") if one["expect"] == "success")


def _open_sealed_letter(untrusted: bytes) -> HalfOpenedLetter:
    """Open the outer seal of a letter. The seal is authenticated, so changed inputs are refused."""
    vector = _sealed_letter_vector()
    key, info = bytes.fromhex(vector["private"]), bytes.fromhex(vector["info"])
    return open_outer_seal(Secret(key), info, untrusted)


class OlmReader:
    """An Olm account, and a session of two other accounts. The session cannot decrypt any input."""

    def __init__(self) -> None:
        self._account = new_olm_account()
        self._identity = vodozemac.Account().curve25519_key.to_bytes()
        self._session = Secret(
            vodozemac.Account()
            .create_outbound_session(
                vodozemac.Curve25519PublicKey.from_bytes(self._identity),
                vodozemac.Curve25519PublicKey.from_bytes(self._identity),
            )
            .pickle(bytes(32))
            .encode()
        )
        ed25519_public_key(self._account)

    def read_and_check(self, untrusted: bytes) -> bool:
        """Open the input in a session, and as a first message.

        Return False if the input is malformed in both cases.
        """
        half_opened = HalfOpenedLetter(bytes(32), b"header", *_olm_type_and_message(untrusted))
        letter_began_session(self._session, half_opened)
        refused = [
            _refusal_of(lambda: open_letter(self._session, half_opened)),
            _refusal_of(lambda: open_first_letter(self._account, self._identity, half_opened)),
        ]
        return not all(isinstance(one, Malformed) for one in refused)

    def seeds(self) -> list[bytes]:
        """Return a message that begins a session, and two short inputs marked as later messages."""
        session = vodozemac.Session.from_pickle(self._session.reveal().decode(), bytes(32))
        kind, message = session.encrypt(b"inside").to_parts()
        return [bytes([kind]) + message, b"\x01" + message[-60:], b"\x01\x03\x0a\x20" + bytes(60)]


def _refusal_of(open_message: Callable[[], object]) -> Exception | None:
    try:
        open_message()
    except _REFUSALS as refusal:
        str(refusal)
        return refusal
    return None


def _olm_type_and_message(untrusted: bytes) -> tuple[int, bytes]:
    return (untrusted[0] & 1, untrusted[1:]) if untrusted else (0, b"")


_SHARED_READERS: Final = list[OlmReader]()


def _shared_reader() -> OlmReader:
    if not _SHARED_READERS:
        _SHARED_READERS.append(OlmReader())
    return _SHARED_READERS[0]


TARGETS: Final = (
    Target(
        "letter-outside",
        canonical_round_trip(read_sealed_letter, lambda pair: write_sealed_letter(*pair)),
        lambda: [write_sealed_letter(b"k" * 8, b"opaque"), b"\x01" + bytes(20), b""],
    ),
    Target(
        "letter-around",
        property_check(_open_sealed_letter, lambda _: True, _REFUSALS),
        lambda: [
            bytes.fromhex(_sealed_letter_vector()["bytes"]),
            bytes(PADDED_SIZES_BYTES[0] + 1136),
            bytes(99),
        ],
        input_bytes_max=8192,
    ),
    Target(
        "letter-inside",
        property_check(
            _pad_and_parse_inner_letter,
            lambda parts: len(b"".join((parts[0], parts[2]))) <= PADDED_SIZES_BYTES[0],
        ),
        lambda: [
            _write_inner_letter(b"header", 1, b"olm").rstrip(b"\0"),
            _write_inner_letter(b"", 0, b"olm").rstrip(b"\0"),
        ],
    ),
    Target(
        "olm",
        lambda untrusted: _shared_reader().read_and_check(untrusted),
        lambda: _shared_reader().seeds(),
    ),
    Target(
        "header",
        canonical_round_trip(read_header, write_header),
        lambda: [*vector_bytes("header"), write_header(HEADER)],
        change_cbor,
    ),
    Target(
        "body",
        canonical_round_trip(read_body, write_body),
        lambda: [
            *vector_bytes("body"),
            *map(write_body, MESSAGE_BODIES),
            encode([11, [1, "later"]]),
        ],
        change_cbor,
        input_bytes_max=8 * 1024,  # receipts carry two signatures and a key
    ),
    Target(
        "receipt-statement",
        canonical_round_trip(read_receipt_statement, write_receipt_statement),
        lambda: [bytes.fromhex(one["statement"]) for one in vectors("receipt", "crypto")],
        change_cbor,
        input_bytes_max=1024,
    ),
    Target(
        "receipt-proof",
        canonical_round_trip(read_receipt_proof, write_receipt_proof),
        lambda: [bytes.fromhex(one["bytes"]) for one in vectors("receipt", "crypto")],
        change_cbor,
        input_bytes_max=RECEIPT_PROOF_BYTES_MAX,
    ),
    Target(
        "frame",
        canonical_round_trip(read_frame, write_frame),
        lambda: vector_bytes("frame"),
        mutation_inside(_remove_padding, _pad_frame, change_cbor),
        input_bytes_max=8192,
    ),
    Target(
        "file-padding",
        canonical_round_trip(
            _unpad_file,
            lambda size_and_file: (
                size_and_file[0].to_bytes(3, "big") + padded_reader(size_and_file[1]).read()
            ),
        ),
        lambda: [
            size.to_bytes(3, "big") + padded_reader(bytes([7]) * size).read()
            for size in (1, 4095, 4096, 4097)
        ],
        input_bytes_max=8192,
    ),
)
