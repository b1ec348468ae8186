"""Targets for hooks: bodies and paths of requests, mail, and a gate's replies (docs/gate.md)."""

from typing import Final
from urllib.parse import unquote

from entrenous.connectors.upload_rules import make_rules
from entrenous.stop.client.gate_answer import (
    GateAnswer,
    GateVerdict,
    parse_decision_reply,
    parse_review_state,
)
from entrenous.stop.client.uploaded_files import extract_uploads, files_in_mail
from tests.connectors.form_readings import (
    COVERED_PATH,
    is_covered,
    paths_read_by_java,
    paths_read_by_python,
)
from tests.fuzz.mutate import change_json
from tests.fuzz.target import Target, property_check

_UPLOAD_FORM: Final = (
    b"multipart/form-data; boundary=x\n"
    b'--x\r\nContent-Disposition: form-data; name="words"\r\n\r\nhello\r\n'
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n'
    b"Content-Type: image/jpeg\r\n\r\n\xff\xd8\xffbytes\r\n--x--\r\n"
)
_MAIL_MESSAGE: Final = (
    b"From: a@example.org\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nhello\r\n"
    b"--x\r\nContent-Type: image/jpeg\r\nContent-Transfer-Encoding: base64\r\n\r\n/9j/AAAA\r\n"
    b"--x--\r\n"
)
_DECISION_REPLY: Final = (
    b'{"schema":"entrenous/decision/1","case":"3f9a-70c2-b11e","secret":"AAEC",'
    b'"decision":"let through","matches":[],"shadow":"hold"}'
)
_REVIEW_STATES: Final = ("", "waiting", "confirmed", "released", "closed")


def _body_and_uploads(untrusted: bytes) -> tuple[bytes, list[bytes]]:
    kind, _, body = untrusted.partition(b"\n")
    return body, extract_uploads(body, kind.decode("latin-1"))


_UPLOAD_RULES: Final = make_rules([COVERED_PATH], "publish")


def _path_and_is_checked(untrusted: bytes) -> tuple[str, bool]:
    """Return the undecoded path, and whether the gate would be asked about the request."""
    path = untrusted.decode(errors="replace").partition("?")[0]
    return path, _UPLOAD_RULES.may_contain_upload("POST", unquote(path), untrusted)


def _is_covered_path_checked(read: tuple[str, bool]) -> bool:
    """Return False if a server would read a covered path, but the gate would not be asked."""
    path, is_checked = read
    return is_checked or not any(
        map(is_covered, paths_read_by_java(path) | paths_read_by_python(path))
    )


def _is_safe_answer(answer: GateAnswer) -> bool:
    """Return whether case and secret are printable ASCII.

    If the answer has no case, the action must also be HOLD.
    """
    case_and_secret = answer.case + answer.secret
    return (
        (bool(answer.case) or answer.action is GateVerdict.HOLD)
        and case_and_secret.isascii()
        and case_and_secret.isprintable()
    )


TARGETS: Final = (
    Target(
        "hook-body",
        property_check(_body_and_uploads, lambda read: all(one in read[0] for one in read[1])),
        lambda: [
            _UPLOAD_FORM,
            _UPLOAD_FORM.replace(b"x\r\n", b"x  \r\n"),
            b"image/jpeg\n\xff\xd8\xff",
            b"\n",
        ],
        input_bytes_max=2048,
    ),
    Target(
        "hook-path",
        property_check(_path_and_is_checked, _is_covered_path_checked),
        lambda: [b"/api/v2/media/7?a=b", b"/x/..;/api%2fv2//media", b"/%2561pi;x/./v2/mediA.json"],
        input_bytes_max=256,
    ),
    Target(
        "hook-mail",
        property_check(
            files_in_mail, lambda files: all(one.untrusted_data != b"" for one in files)
        ),
        lambda: [
            _MAIL_MESSAGE,
            _MAIL_MESSAGE.replace(b"base64", b"quoted-printable"),
            b"A: b\r\n\r\nhello",
        ],
        input_bytes_max=2048,
    ),
    Target(
        "hook-reply",
        property_check(lambda untrusted: parse_decision_reply(200, untrusted), _is_safe_answer),
        lambda: [
            _DECISION_REPLY,
            _DECISION_REPLY.replace(b"let through", b"refuse"),
            _DECISION_REPLY.replace(b'"let through"', b'"hold","published":true'),
        ],
        change_json,
        input_bytes_max=1024,
    ),
    Target(
        "hook-case",
        property_check(
            lambda untrusted: parse_review_state(200, untrusted),
            lambda state: state in _REVIEW_STATES,
        ),
        lambda: [b'{"schema":"entrenous/review/1","state":"released"}', b'{"state":"waiting"}'],
        change_json,
        input_bytes_max=1024,
    ),
)
