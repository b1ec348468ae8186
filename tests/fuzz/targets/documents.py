"""Targets for a gate's requests and answers, evidence, reports, settings and stored files."""

import hashlib
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from python_multipart.multipart import parse_options_header

from entrenous.base.errors import Malformed, Refused, Unproven
from entrenous.base.identifiers import ClaimId
from entrenous.base.secret import Secret
from entrenous.carry.backup import BackupContents, BlobEntry, _encode_contents, read_backup
from entrenous.carry.relay_settings import RelaySettings, read_relay_settings
from entrenous.crypto.vault_key import Argon2Cost
from entrenous.device.store.vault_folder import (
    FIRST_VAULT_HEAD_SCHEMA,
    VAULT_HEAD_SCHEMA,
    KeyDerivationTerms,
    VaultHead,
    _decode_terms,
    _encode_terms,
    read_vault_head,
)
from entrenous.fingerprint.nouns import (
    EMBEDDING_NUMBERS,
    ClipPrint,
    Embedding,
    Fingerprint,
    FramePrint,
    PicturePrint,
    SoundPrint,
    VideoPrint,
)
from entrenous.respond.manifest_format import (
    EvidenceManifest,
    ManifestItem,
    read_manifest,
    write_manifest,
)
from entrenous.respond.nouns import EvidenceLevel
from entrenous.stop.banks import read_hashes
from entrenous.stop.client.registration_client import _HttpAnswer, _is_problem, _problem_detail
from entrenous.stop.http.request_body import parse_upload_form
from entrenous.stop.http.review_requests import parse_verdict
from entrenous.stop.nouns import GateRefused
from entrenous.stop.registration import ClaimRequest, ClaimState, ClaimStatus
from entrenous.stop.registration_format import (
    read_claim_status,
    read_registration_request,
    write_claim_status,
    write_registration_request,
)
from entrenous.stop.review import confirm_case, release_case
from entrenous.trace.report.nouns import (
    CommonReportFacts,
    DisclosedCopy,
    ExaminedEvidence,
    Report,
    ReportSignature,
)
from entrenous.trace.report.report_format import read_report, report_fields_and_digest, write_report
from entrenous.watermark.verdict import Finding
from entrenous.wire.encodings import canonical_json
from entrenous.wire.relay_nouns import RelayLock
from tests.fuzz.mutate import change_json, mutation_inside
from tests.fuzz.seeds import MAILBOX, NOON, URL
from tests.fuzz.target import (
    PropertyViolated,
    Target,
    canonical_round_trip,
    property_check,
    round_trip,
)

_FAKE_PATH: Final = "relay.toml"
_REPORT_SEAL_FIELDS: Final = ("digest", "device", "signature")


class FakePath:
    """A replacement for the path of a file. Reading it returns these bytes, without a disk."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = data

    def __truediv__(self, _: str) -> "FakePath":
        return self

    def __str__(self) -> str:
        return _FAKE_PATH

    @property
    def parent(self) -> "FakePath":
        """Return this object as its own parent folder, since readers only need a path from it."""
        return self

    def read_bytes(self) -> bytes:
        """Return all bytes."""
        return self.data

    def read_text(self, encoding: str) -> str:
        """Return all text, with line ends as Python reads them."""
        return io.TextIOWrapper(io.BytesIO(self.data), encoding).read()


def _reader_of_file(read: Callable[[Any], Any]) -> Callable[[bytes], Any]:
    return lambda untrusted: read(FakePath(untrusted))


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _read_report(untrusted: bytes) -> tuple[Report, bytes, ReportSignature | None]:
    """Read a report; its recipients and programs must contain no line ends or escapes."""
    read = read_report(untrusted, _sha256)
    texts = [copy.to for copy in read[0].copies]
    for pair in read[0].made_with.items():
        texts += pair
    if any(len(one.splitlines()) > 1 or "\x1b" in one for one in texts):
        raise PropertyViolated(repr(texts))
    return read


def _write_report(read: tuple[Report, bytes, ReportSignature | None]) -> bytes:
    report, _, signed = read
    plain, digest = report_fields_and_digest(report, _sha256)
    return write_report(plain, digest, signed)


def _report_bytes() -> bytes:
    copies = tuple(
        DisclosedCopy(name, Secret(seed * 32), b"h" * 32, 9.5, 0, 9.5, 1e-9, 1e7)
        for name, seed in (("ben", b"s"), ("caro", b"t"))
    )
    common_facts = CommonReportFacts(b"l" * 32, b"o" * 32, None, 0, Secret(b"d" * 32), 3)
    examined = ExaminedEvidence(
        (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0), 40, 0.25, 100, b"e" * 32
    )
    report = Report(
        *(NOON, {"numpy": "2"}, 1, "7-otter", common_facts, examined),
        *(1e-6, copies, Finding.ONE, ("ben",)),
    )
    return _write_report((report, b"", ReportSignature(b"d" * 32, b"s" * 64)))


def _correct_digest(changed: bytes) -> bytes:
    """Correct the digest, so that readers check the rest of the report."""
    whole = json.loads(changed)
    if not isinstance(whole, dict):
        raise ValueError("no report at all")  # noqa: TRY004 -- as for text that is no JSON
    plain = {name: value for name, value in whole.items() if name not in _REPORT_SEAL_FIELDS}
    whole["digest"] = _sha256(canonical_json(plain)).hex()
    return json.dumps(whole).encode()


def _manifest_bytes() -> bytes:
    item = ManifestItem(1, EvidenceLevel.A1, datetime(2026, 11, 25, 12, tzinfo=UTC), b"\x02" * 32)
    return write_manifest(EvidenceManifest(NOON, b"\x01" * 32, (item,)))


def _read_form_file(untrusted: bytes) -> bytes:
    """Return the file in a multipart form; the input's first line is the form's Content-Type."""
    kind, _, form = untrusted.partition(b"\n")
    _, options = parse_options_header(kind)
    return parse_upload_form(form, options.get(b"boundary", b"")).untrusted_data


_UPLOAD_FORM: Final = (
    b"multipart/form-data; boundary=x\n"
    b'--x\r\nContent-Disposition: form-data; name="note"\r\n\r\nhers\r\n'
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n'
    b"Content-Type: image/jpeg\r\n\r\nbytes\r\n--x--\r\n"
)
_HASH_LIST: Final = (
    b"hash,note\n\n# a comment\n" + b"0f" * 32 + b',one\r\n"' + b"0F" * 32 + b'"\rno\n'
)


def _read_error_detail(untrusted: bytes) -> str:
    """Return the detail of a gate's error, in the form that is shown to people."""
    answer = _HttpAnswer(422, "application/problem+json", untrusted)
    _is_problem(answer, GateRefused)
    return _problem_detail(answer)


def _do_terms_round_trip(head: VaultHead) -> bool:
    """Return whether the terms of a vault head are equal after they are written and read."""
    all_terms = [terms for terms in (head.now, head.next) if terms is not None]
    return all(
        _decode_terms(_encode_terms(terms), first=terms.first) == terms for terms in all_terms
    )


def _vault_head_seeds() -> list[bytes]:
    lock = RelayLock(URL, MAILBOX, Secret(b"u" * 32))
    now, after = (
        KeyDerivationTerms(b"s" * 16, Argon2Cost(), lock),
        KeyDerivationTerms(b"n" * 16, Argon2Cost()),
    )
    plain = msgspec.to_builtins(_encode_terms(now))
    old = {"schema": FIRST_VAULT_HEAD_SCHEMA, **plain, "lock": None}
    new = {"schema": VAULT_HEAD_SCHEMA, **plain, "next": msgspec.to_builtins(_encode_terms(after))}
    changed = KeyDerivationTerms(
        b"s" * 16, Argon2Cost(), lock.with_new_unlock_token(Secret(b"v" * 32))
    )
    renewed = {
        "schema": VAULT_HEAD_SCHEMA,
        **msgspec.to_builtins(_encode_terms(changed)),
        "next": None,
    }
    return [msgspec.json.encode(one) for one in (old, new, renewed)]


def _read_settings(untrusted: bytes) -> bool:
    return isinstance(read_relay_settings(FakePath(untrusted)), RelaySettings)


def _is_valid_verdict(untrusted: bytes) -> bool:
    verb, _, shown = parse_verdict(untrusted)
    return verb in (confirm_case, release_case) and (
        shown is None or all(isinstance(c, str) for c in shown)
    )


def _has_valid_hashes(untrusted: bytes) -> bool:
    hashes, refused = read_hashes(untrusted.decode("utf-8", errors="replace"))
    return all(len(bits) == 32 for bits in hashes) and len(dict(refused)) == len(refused)


_SETTINGS_TOML: Final = b"""data = "relay"
listen = "[::]:8443"
tls_cert = "cert.pem"
tls_key = 'key.pem'
log = "json"
floor = 2
keep_days = 7
mailbox_open = false
quota_mailbox_mb = 100
free_mb_min = 0
"""

_VIDEO: Final = VideoPrint(
    (FramePrint(0, bytes(32), 90), FramePrint(125, b"\xa5" * 32, 80, bytes(32)))
)
_SOUND: Final = SoundPrint(bytes(range(40)))
_EMBEDDING: Final = Embedding(b"\x7f" * EMBEDDING_NUMBERS)

TARGETS: Final = (
    Target(
        "claim-request",
        round_trip(read_registration_request, write_registration_request),
        lambda: [
            write_registration_request(ClaimRequest(one, bytes(32), "hers", "FR"))
            for one in (
                PicturePrint(Fingerprint("pdq", bytes(32), 90), (bytes(32),)),
                PicturePrint(Fingerprint("pdq", bytes(32), 90), embedding=_EMBEDDING),
                ClipPrint(_VIDEO),
                ClipPrint(_VIDEO, _SOUND),
                _SOUND,
            )
        ],
        change_json,
        input_bytes_max=2048,
    ),
    Target(
        "claim",
        round_trip(read_claim_status, write_claim_status),
        lambda: [
            write_claim_status(ClaimStatus(ClaimId("c" * 22), "pdq", one)) for one in ClaimState
        ],
        change_json,
        input_bytes_max=512,
    ),
    Target(
        "gate-words",
        property_check(
            _read_error_detail,
            lambda detail: len(detail) <= 300 and (not detail or detail.isprintable()),
        ),
        lambda: [b'{"type":"urn:entrenous:refused:gate-refused","detail":"no"}', b"[]", b"{}"],
        change_json,
        input_bytes_max=1024,
    ),
    Target(
        "verdict",
        property_check(_is_valid_verdict, bool),
        lambda: [
            b'{"decision":"confirm"}',
            b'{"decision":"release","shown":["a"]}',
            b'{"decision":1}',
        ],
        change_json,
        input_bytes_max=256,
    ),
    Target(
        "evidence",
        canonical_round_trip(read_manifest, write_manifest),
        lambda: [_manifest_bytes()],
        change_json,
    ),
    Target(
        "report",
        round_trip(_read_report, _write_report),
        lambda: [_report_bytes()],
        mutation_inside(lambda report: report, _correct_digest, change_json),
    ),
    Target(
        "upload-form",
        property_check(_read_form_file, bool),
        lambda: [
            _UPLOAD_FORM,
            _UPLOAD_FORM.replace(b"x", b"boundary"),
            b"multipart/form-data\n\r\n",
        ],
        input_bytes_max=1024,
    ),
    Target(
        "hash-list",
        property_check(_has_valid_hashes, bool),
        lambda: [_HASH_LIST],
        input_bytes_max=2048,
    ),
    Target(
        "vault-head",
        property_check(_reader_of_file(read_vault_head), _do_terms_round_trip),
        _vault_head_seeds,
        change_json,
        input_bytes_max=2048,
    ),
    Target(
        "relay-settings",
        property_check(_read_settings, bool, (Malformed, Refused)),
        lambda: [_SETTINGS_TOML, b"# none"],
    ),
    Target(
        "relay-backup",
        round_trip(_reader_of_file(read_backup), _encode_contents, (Unproven,)),
        lambda: [
            _encode_contents(
                BackupContents(NOON, "0a" * 32, (BlobEntry("0b", 7, "0c" * 32),), ("0d",))
            )
        ],
        change_json,
        input_bytes_max=1024,
    ),
)
