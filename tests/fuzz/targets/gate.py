"""Targets for a gate's input: opinions, forms with references or photos, heads of audit logs."""

from datetime import UTC, datetime
from typing import Final

from python_multipart.multipart import parse_options_header

from entrenous.base.identifiers import ClaimId
from entrenous.connectors.hma_matching import PhotoForm, parse_photo_form
from entrenous.stop.audit import AuditHead
from entrenous.stop.http.registration_requests import parse_opinion
from entrenous.stop.http.request_body import ReceivedUpload, check_reference, parse_upload_form
from entrenous.stop.registration import Opinion, Stance
from tests.fuzz.mutate import change_json
from tests.fuzz.target import Target, property_check, round_trip
from tests.stop.platform_for_tests import write_opinion

_CLAIM_ID: Final = ClaimId("c" * 32)
_SIGNED_AT: Final = datetime(2026, 11, 25, 12, tzinfo=UTC)
_UPLOAD_FORM: Final = (
    b"multipart/form-data; boundary=x\n"
    b'--x\r\nContent-Disposition: form-data; name="reference"\r\n\r\npost 17\r\n'
    b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nbytes\r\n--x--\r\n'
)


_HMA_FORM: Final = _UPLOAD_FORM.replace(b'"file"', b'"photo"')


def _read_hma_form(untrusted: bytes) -> PhotoForm:
    kind, _, form = untrusted.partition(b"\n")
    _, options = parse_options_header(kind)
    return parse_photo_form(form, options.get(b"boundary", b""))


def _read_upload(untrusted: bytes) -> ReceivedUpload:
    kind, _, form = untrusted.partition(b"\n")
    _, options = parse_options_header(kind)
    upload = parse_upload_form(form, options.get(b"boundary", b""))
    return ReceivedUpload(upload.untrusted_data, check_reference(upload.reference))


def _has_valid_reference(upload: ReceivedUpload) -> bool:
    return len(upload.reference) <= 200 and upload.reference.isprintable()


TARGETS: Final = (
    Target(
        "opinion",
        round_trip(
            lambda untrusted: parse_opinion(untrusted, _CLAIM_ID), lambda read: write_opinion(*read)
        ),
        lambda: [
            write_opinion(Opinion(_CLAIM_ID, stance, _SIGNED_AT, b"\x07" * 32), b"\x08" * 64)
            for stance in Stance
        ],
        change_json,
        input_bytes_max=512,
    ),
    Target(
        "upload-reference",
        property_check(_read_upload, _has_valid_reference),
        lambda: [
            _UPLOAD_FORM,
            _UPLOAD_FORM.replace(b"post 17", b"x" * 200),
            _UPLOAD_FORM.replace(b"x", b"boundary"),
        ],
        input_bytes_max=1024,
    ),
    Target(
        "hma-form",
        property_check(
            _read_hma_form,
            lambda form: bool(form.untrusted_photo) and len(form.untrusted_fields) <= 20,
        ),
        lambda: [_HMA_FORM, _HMA_FORM.replace(b"post 17", b"x" * 200)],
        input_bytes_max=1024,
    ),
    Target(
        "log-head",
        round_trip(
            lambda untrusted: AuditHead.parse(untrusted.decode(errors="replace")),
            lambda head: str(head).encode(),
        ),
        lambda: [str(AuditHead()).encode(), str(AuditHead(12, b"\xab" * 32)).encode()],
        input_bytes_max=128,
    ),
)
