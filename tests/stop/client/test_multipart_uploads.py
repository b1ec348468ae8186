"""Extracting uploads from request bodies, and refusing bodies that parsers may read differently."""

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

FORM_TYPE = "multipart/form-data; boundary=edge"
FILE_HEADER = b'Content-Disposition: form-data; name="f"; filename="x.jpg"\r\n'
FIELD_HEADER = b'Content-Disposition: form-data; name="f"\r\n'


def build_form(*parts: tuple[bytes, bytes], boundary: bytes = b"edge") -> bytes:
    each = [b"--" + boundary + b"\r\n" + head + b"\r\n" + data + b"\r\n" for head, data in parts]
    return b"".join(each) + b"--" + boundary + b"--\r\n"


def test_form_files_are_found_among_fields() -> None:
    body = build_form(
        (FIELD_HEADER, b"words"),
        (FILE_HEADER + b"Content-Type: image/jpeg\r\n", ACCEPTED_FILE),
        (FILE_HEADER, b"pdf"),
    )
    assert extract_uploads(body, FORM_TYPE) == [ACCEPTED_FILE, b"pdf"]


@pytest.mark.parametrize(
    ("part_headers", "content"),
    [
        (FIELD_HEADER, ACCEPTED_FILE),  # a picture in a text field
        (FIELD_HEADER + b"Content-Type: application/octet-stream\r\n", b"anything"),
        (b"Content-Type: image/png\r\n", b"anything"),
        (b"Content-Disposition: form-data; name=f; FILENAME*=utf-8''x\r\n", b"anything"),
        (b"X-Own: 1\r\n", ACCEPTED_FILE),
    ],
)
def test_form_part_with_any_sign_of_a_file_is_extracted(
    part_headers: bytes, content: bytes
) -> None:
    assert extract_uploads(build_form((part_headers, content)), FORM_TYPE) == [content]


def test_empty_file_field_has_no_upload() -> None:
    assert extract_uploads(build_form((FILE_HEADER, b""), (FIELD_HEADER, b"")), FORM_TYPE) == []


@pytest.mark.parametrize(
    ("body", "content_type", "file_count"),
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
def test_body_that_is_no_form_is_at_most_one_upload(
    body: bytes, content_type: str, file_count: int
) -> None:
    assert extract_uploads(body, content_type) == [body] * file_count


#: What programs write as the type of a form, and the boundary in it.
ORDINARY_FORM_TYPES = {
    "Chrome, Safari": "multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW",
    "Firefox": "multipart/form-data; boundary=----geckoformboundary3f9a70c2b11e",
    "older Firefox": "multipart/form-data; boundary=---------------------------9051914041544843365",
    "curl": "multipart/form-data; boundary=------------------------d74496d66958873e",
    "requests, httpx, Go, Netty": "multipart/form-data; boundary=3f9a70c2b11e",
    "undici": "multipart/form-data; boundary=----formdata-undici-012345678901",
    "OkHttp": "multipart/form-data; boundary=6ba7b810-9dad-11d1-80b4-00c04fd430c8",
    "Dart": "multipart/form-data; boundary=dart-http-boundary-a.B+c_d-e",
    "Dio": "multipart/form-data; boundary=--dio-boundary-1234567890",
    "Alamofire": "multipart/form-data; boundary=alamofire.boundary.0a1b2c3d4e5f6071",
    "AFNetworking": "multipart/form-data; boundary=Boundary+0A1B2C3D4E5F6071",
    "Ruby": "multipart/form-data; boundary=----RubyFormBoundaryAbCdEf012345",
    ".NET": 'multipart/form-data; boundary="6ba7b810-9dad-11d1-80b4-00c04fd430c8"',
    "Qt": 'multipart/form-data; boundary="boundary_.oOo._MTIz+/NDU2Nzg5MDEyMw=="',
    "JavaMail": 'multipart/form-data; boundary="----=_Part_0_123.456"',
    "Jersey": "multipart/form-data;boundary=Boundary_1_123456789_1600000000000",
    "Spring": "multipart/form-data;charset=UTF-8;boundary=aB3_-xyz",
    "Apache HttpClient 4": "multipart/form-data; boundary=aB3_-xyz; charset=UTF-8",
    "Apache HttpClient 5": "multipart/form-data; charset=UTF-8; boundary=httpclient_boundary_6b8",
}


@pytest.mark.parametrize("program", ORDINARY_FORM_TYPES)
def test_form_of_an_ordinary_program_is_read(program: str) -> None:
    content_type = ORDINARY_FORM_TYPES[program]
    boundary = content_type.split("boundary=", 1)[1].split(";")[0].strip('"').encode()
    body = build_form((FILE_HEADER, ACCEPTED_FILE), boundary=boundary)
    assert extract_uploads(body, content_type) == [ACCEPTED_FILE]


def build_form_within_a_field(outer: bytes, inner: bytes) -> bytes:
    """Return a form with one text field; a server that reads ``inner`` finds a file instead."""
    words = b"words\r\n" + build_form((FILE_HEADER, ACCEPTED_FILE), boundary=inner)
    return build_form((FIELD_HEADER, words), boundary=outer)


@pytest.mark.threat("hook-walked-around")
@pytest.mark.parametrize(
    ("content_type", "outer", "inner"),
    [
        # PHP ends a boundary at a comma, and does not remove a space before it.
        ("multipart/form-data; boundary=a,b", b"a,b", b"a"),
        ("multipart/form-data; boundary= a", b"a", b" a"),
        ('multipart/form-data; boundary= "a b"', b"a b", b' "a b"'),
        ("multipart/form-data; boundary=a\xa0", b"a", b"a\xa0"),
        ("multipart/form-data; boundary=a ", b"a", b"a "),
        # PHP searches for "boundary" in small letters first.
        ("multipart/form-data; Boundary=aboundary=b", b"aboundary=b", b"b"),
        # Werkzeug ends a boundary at the first character that no token contains.
        ("multipart/form-data; boundary=a=b", b"a=b", b"a"),
        ("multipart/form-data; boundary=a/b", b"a/b", b"a"),
        # Some servers read the last parameter of this name, or one of another type.
        ('multipart/form-data; boundary="aboundary=b"', b"aboundary=b", b"b"),
        ('multipart/form-data; x="; boundary=z; y="; boundary=a', b"a", b"z"),
        ("text/plain; boundary=a", b"b", b"a"),
        # formidable searches for "multipart" anywhere.
        ("text/plain; x=multipart/form-data; boundary=a", b"b", b"a"),
        ("application/x-www-form-urlencoded, Multipart/form-data; boundary=a", b"b", b"a"),
    ],
)
def test_form_that_hides_a_file_from_one_of_two_parsers_is_unreadable(
    content_type: str, outer: bytes, inner: bytes
) -> None:
    with pytest.raises(Unreadable):
        extract_uploads(build_form_within_a_field(outer, inner), content_type)


VALID_FORM = build_form((FILE_HEADER, ACCEPTED_FILE))
EMBEDDED_FILE_PART = b"--edge\r\n" + FILE_HEADER + b"\r\n" + ACCEPTED_FILE


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (VALID_FORM, "multipart/form-data"),
        (VALID_FORM, "multipart/form-data; boundary=edge; boundary=other"),
        (VALID_FORM, "multipart/form-data; boundary=edge; boundary*=utf-8''other"),
        (VALID_FORM, "multipart/form-data; boundary=" + "e" * 71),
        (VALID_FORM, "multipart/mixed; boundary=edge"),
        (VALID_FORM, 'multipart/related; boundary=edge; type="image/jpeg"'),
        (VALID_FORM[:-4], FORM_TYPE),
        (VALID_FORM[: len(VALID_FORM) // 2], FORM_TYPE),
        (b"before\r\n" + VALID_FORM, FORM_TYPE),
        (
            VALID_FORM + EMBEDDED_FILE_PART + b"\r\n--edge--\r\n",
            FORM_TYPE,
        ),  # some parsers read beyond the last delimiter
        (
            build_form((FIELD_HEADER, b"words" + EMBEDDED_FILE_PART)),
            FORM_TYPE,
        ),  # some parsers find a delimiter within a line
        (build_form((FILE_HEADER + b"Content-Transfer-Encoding: base64\r\n", b"/9j/")), FORM_TYPE),
        (
            build_form((FILE_HEADER + b"Content-Type: multipart/mixed; boundary=b\r\n", b"x")),
            FORM_TYPE,
        ),
        # The part has two Content-Disposition headers.
        (build_form((FIELD_HEADER + FILE_HEADER, b"words")), FORM_TYPE),
        (
            build_form((b'X: 1\n\nContent-Disposition: form-data; name="f"\r\n', b"words")),
            FORM_TYPE,
        ),
    ],
)
def test_ambiguous_form_is_unreadable(body: bytes, content_type: str) -> None:
    with pytest.raises(Unreadable):
        extract_uploads(body, content_type)


def test_compressed_body_or_form_with_too_many_parts_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        extract_uploads(ACCEPTED_FILE, "image/jpeg", "gzip")
    assert extract_uploads(ACCEPTED_FILE, "image/jpeg", "identity") == [ACCEPTED_FILE]
    with pytest.raises(Unreadable):
        extract_uploads(
            build_form(*[(FIELD_HEADER, b"x")] * (PLATFORM_FORM_PARTS_MAX + 1)), FORM_TYPE
        )


@given(st.lists(st.binary(max_size=200).filter(lambda one: b"--edge" not in one), max_size=5))
def test_form_file_is_extracted_unchanged(files: Sequence[bytes]) -> None:
    body = build_form(*[(FILE_HEADER, data) for data in files])
    assert extract_uploads(body, FORM_TYPE) == [data for data in files if data]


@given(st.binary(max_size=400), st.text(max_size=60))
def test_random_bytes_as_form_raise_only_unreadable(body: bytes, content_type: str) -> None:
    for declared in (content_type, FORM_TYPE):
        with contextlib.suppress(Unreadable):
            assert all(data in body for data in extract_uploads(body, declared))


@given(st.data())
def test_damaged_headers_never_hide_a_picture(data: st.DataObject) -> None:
    """If a byte of a file's headers changes, the file is extracted or the form is refused."""
    body = bytearray(build_form((FIELD_HEADER, b"words"), (FILE_HEADER, ACCEPTED_FILE)))
    position = data.draw(st.integers(body.rindex(FILE_HEADER) - 1, body.index(ACCEPTED_FILE) - 1))
    body[position] = data.draw(st.integers(0, 255))
    with contextlib.suppress(Unreadable):
        assert any(ACCEPTED_FILE in one for one in extract_uploads(bytes(body), FORM_TYPE))
