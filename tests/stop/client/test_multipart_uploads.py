"""Files in a request's body; a body that parsers could read differently is refused."""

import contextlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.stop.client.uploaded_files import (
    PLATFORM_FORM_PARTS_MAX,
    Unreadable,
    extract_uploads,
)
from tests.connectors.running_gates import ACCEPTED_FILE

FORM = "multipart/form-data; boundary=edge"
NAMED = b'Content-Disposition: form-data; name="f"; filename="x.jpg"\r\n'
FIELD = b'Content-Disposition: form-data; name="f"\r\n'


def form(*parts: tuple[bytes, bytes], edge: bytes = b"edge") -> bytes:
    each = [b"--" + edge + b"\r\n" + head + b"\r\n" + data + b"\r\n" for head, data in parts]
    return b"".join(each) + b"--" + edge + b"--\r\n"


def test_form_files_are_found_among_fields() -> None:
    body = form(
        (FIELD, b"words"), (NAMED + b"Content-Type: image/jpeg\r\n", ACCEPTED_FILE), (NAMED, b"pdf")
    )
    assert extract_uploads(body, FORM) == [ACCEPTED_FILE, b"pdf"]


@pytest.mark.parametrize(
    ("head", "data"),
    [
        (FIELD, ACCEPTED_FILE),  # a picture in a text field
        (FIELD + b"Content-Type: application/octet-stream\r\n", b"anything"),
        (b"Content-Type: image/png\r\n", b"anything"),
        (b"Content-Disposition: form-data; name=f; FILENAME*=utf-8''x\r\n", b"anything"),
        (b"X-Own: 1\r\n", ACCEPTED_FILE),
    ],
)
def test_form_part_is_a_file_by_any_sign(head: bytes, data: bytes) -> None:
    assert extract_uploads(form((head, data)), FORM) == [data]


def test_empty_file_field_has_no_upload() -> None:
    assert extract_uploads(form((NAMED, b""), (FIELD, b"")), FORM) == []


@pytest.mark.parametrize(
    ("body", "kind", "files"),
    [
        (b"", "image/jpeg", 0),
        (ACCEPTED_FILE, "image/jpeg", 1),
        (ACCEPTED_FILE, "", 1),
        (ACCEPTED_FILE, "application/json", 1),
        (ACCEPTED_FILE, "text/plain", 1),
        (b"abc", "application/octet-stream", 1),
        (b'{"status": "hello"}', "application/json", 0),
        (b'{"status": "hello"}', "application/activity+json; charset=utf-8", 0),
        (b"status=hello", "application/x-www-form-urlencoded", 0),
    ],
)
def test_body_that_is_no_form_is_one_file(body: bytes, kind: str, files: int) -> None:
    assert extract_uploads(body, kind) == [body] * files


GOOD = form((NAMED, ACCEPTED_FILE))
INNER = b"--edge\r\n" + NAMED + b"\r\n" + ACCEPTED_FILE


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (GOOD, "multipart/form-data"),
        (GOOD, "multipart/form-data; boundary=edge; boundary=other"),
        (GOOD, "multipart/form-data; boundary=edge; boundary*=utf-8''other"),
        (GOOD, "multipart/form-data; boundary=" + "e" * 71),
        (GOOD, "multipart/mixed; boundary=edge"),
        (GOOD[:-4], FORM),
        (GOOD[: len(GOOD) // 2], FORM),
        (b"before\r\n" + GOOD, FORM),
        (GOOD + INNER + b"\r\n--edge--\r\n", FORM),  # some parsers read on after the end
        (form((FIELD, b"words" + INNER)), FORM),  # some parsers find a delimiter within a line
        (form((NAMED + b"Content-Transfer-Encoding: base64\r\n", b"/9j/")), FORM),
        (form((NAMED + b"Content-Type: multipart/mixed; boundary=b\r\n", b"x")), FORM),
        (form((FIELD + NAMED, b"words")), FORM),  # one header twice
        (form((b'X: 1\n\nContent-Disposition: form-data; name="f"\r\n', b"words")), FORM),
    ],
)
def test_ambiguous_form_is_unreadable(body: bytes, kind: str) -> None:
    with pytest.raises(Unreadable):
        extract_uploads(body, kind)


def test_compressed_or_huge_form_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        extract_uploads(ACCEPTED_FILE, "image/jpeg", "gzip")
    assert extract_uploads(ACCEPTED_FILE, "image/jpeg", "identity") == [ACCEPTED_FILE]
    with pytest.raises(Unreadable):
        extract_uploads(form(*[(FIELD, b"x")] * (PLATFORM_FORM_PARTS_MAX + 1)), FORM)


@given(st.lists(st.binary(max_size=200).filter(lambda one: b"--edge" not in one), max_size=5))
def test_form_file_is_extracted_unchanged(files: Sequence[bytes]) -> None:
    body = form(*[(NAMED, data) for data in files])
    assert extract_uploads(body, FORM) == [data for data in files if data]


@given(st.binary(max_size=400), st.text(max_size=60))
def test_random_bytes_as_form_raise_only_unreadable(body: bytes, kind: str) -> None:
    for declared in (kind, FORM):
        with contextlib.suppress(Unreadable):
            assert all(data in body for data in extract_uploads(body, declared))


@given(st.data())
def test_damaged_headers_never_hide_a_picture(data: st.DataObject) -> None:
    """If any byte of a header changes, the picture is still extracted, or the form refused."""
    body = bytearray(form((FIELD, b"words"), (NAMED, ACCEPTED_FILE)))
    where = data.draw(st.integers(body.rindex(NAMED) - 1, body.index(ACCEPTED_FILE) - 1))
    body[where] = data.draw(st.integers(0, 255))
    with contextlib.suppress(Unreadable):
        assert any(ACCEPTED_FILE in one for one in extract_uploads(bytes(body), FORM))
