"""Tests of adding another person's capture: the evidence level, and refused archives."""

import contextlib
import io
import zipfile
import zlib
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.respond.capture.capture_page import CaptureEnvironment, capture_page
from entrenous.respond.capture.second_capture import (
    NotAWebArchive,
    add_second_capture,
    content_hashes_by_address,
)
from entrenous.respond.case_file import find_case
from entrenous.respond.client.public_web import PublicWeb
from entrenous.respond.nouns import EvidenceLevel
from entrenous.respond.open_case import add_sighting
from tests.respond.case_owner import CaseOwner, make_sighting
from tests.respond.watch.site import Site, picture_reply, reply, serve_site

PAGE_TEMPLATE = '<html>{}<img src="/p.jpg"></html>'


@pytest.fixture
def site() -> Iterator[Site]:
    with serve_site() as served:
        served.pages |= {"/post": reply(PAGE_TEMPLATE.format("one")), "/p.jpg": picture_reply()}
        yield served


def open_captured_case(owner: CaseOwner, site: Site) -> tuple[str, bytes]:
    """Capture the page for a new case, and return the name of the case and the WACZ."""
    name = owner.open_case().name
    add_sighting(name, make_sighting(f"{site.url}/post"), owner.device)
    env = CaptureEnvironment(PublicWeb(records=True), lambda: 0.0, lambda _: None, timedelta(0))
    case = capture_page(name, 1, "", env, owner.device)
    return name, owner.vault.read_stored_file(case.evidence[0].blob)


@pytest.mark.real
def test_second_capture_with_one_equal_answer_has_level_a3(owner: CaseOwner, site: Site) -> None:
    name, _ = open_captured_case(owner, site)
    site.pages["/post"] = reply(PAGE_TEMPLATE.format("another token"))  # the picture stays the same
    _, theirs = open_captured_case(CaseOwner(), site)
    item = add_second_capture(name, theirs, " a  helper ", owner.device).evidence[-1]
    assert item.level is EvidenceLevel.A3
    assert item.what == "a web archive by a helper; 1 answer is the same as in item 1"
    assert owner.vault.read_stored_file(item.blob) == theirs


@pytest.mark.real
def test_second_capture_without_an_equal_answer_has_level_a1(owner: CaseOwner, site: Site) -> None:
    name, _ = open_captured_case(owner, site)
    site.pages |= {"/post": reply(PAGE_TEMPLATE.format("two")), "/p.jpg": picture_reply("coffee")}
    _, theirs = open_captured_case(CaseOwner(), site)
    item = add_second_capture(name, theirs, "a helper", owner.device).evidence[-1]
    assert item.level is EvidenceLevel.A1
    assert "no content in it is the same" in item.what


@pytest.mark.real
def test_same_content_at_another_address_has_level_a1(owner: CaseOwner, site: Site) -> None:
    name, _ = open_captured_case(owner, site)
    with serve_site() as other:
        other.pages = site.pages
        _, theirs = open_captured_case(CaseOwner(), other)
    item = add_second_capture(name, theirs, "a helper", owner.device).evidence[-1]
    assert item.level is EvidenceLevel.A1


@pytest.mark.real
def test_without_a_first_capture_the_level_is_a1(owner: CaseOwner, site: Site) -> None:
    _, theirs = open_captured_case(CaseOwner(), site)
    name = owner.open_case().name
    item = add_second_capture(name, theirs, "a helper", owner.device).evidence[-1]
    assert item.level is EvidenceLevel.A1


@pytest.mark.real
def test_damaged_archive_is_refused_and_stores_nothing(owner: CaseOwner, site: Site) -> None:
    name, theirs = open_captured_case(owner, site)
    before = find_case(name, owner.device)
    for broken in (theirs[:-200], b"PK\x03\x04", b"", theirs[:300] + bytes(500) + theirs[800:]):
        with pytest.raises(NotAWebArchive):
            add_second_capture(name, broken, "a helper", owner.device)
    assert find_case(name, owner.device) == before


def wacz_file(warc: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("archive/data.warc", warc)
    return file.getvalue()


def warc_record(
    content: bytes, encoding: str = "identity", url: str = "http://a.example/"
) -> bytes:
    http = b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\n\r\n" % encoding.encode() + content
    head = b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: %s\r\n" % url.encode()
    head += b"WARC-Date: 2026-11-30T00:00:00Z\r\nWARC-Record-ID: <urn:uuid:1>\r\n"
    head += b"Content-Type: application/http; msgtype=response\r\nContent-Length: %d\r\n\r\n"
    return head % len(http) + http + b"\r\n\r\n"


@pytest.mark.real
@pytest.mark.parametrize("contents", [["one"], ["one", "two"], ["two", "one"]])
def test_every_answer_of_an_address_is_compared(
    owner: CaseOwner, site: Site, contents: list[str]
) -> None:
    name, _ = open_captured_case(owner, site)
    records = [
        warc_record(PAGE_TEMPLATE.format(content).encode(), url=f"{site.url}/post")
        for content in contents
    ]
    theirs = wacz_file(b"".join(records))
    item = add_second_capture(name, theirs, "a helper", owner.device).evidence[-1]
    assert item.level is EvidenceLevel.A3
    assert item.what == "a web archive by a helper; 1 answer is the same as in item 1"


@pytest.mark.real
@pytest.mark.parametrize("token", ["first", "second"])
def test_every_answer_of_an_address_in_the_own_capture_is_compared(
    owner: CaseOwner, site: Site, token: str
) -> None:
    page = '<html>{}<img src="/post"></html>'  # so the capture requests it twice

    def answer_twice(request: BaseHTTPRequestHandler) -> None:
        times = site.requested_paths.count("/post")
        reply(page.format("first" if times == 1 else "second"))(request)

    site.pages["/post"] = answer_twice
    name, _ = open_captured_case(owner, site)
    theirs = wacz_file(warc_record(page.format(token).encode(), url=f"{site.url}/post"))
    item = add_second_capture(name, theirs, "a helper", owner.device).evidence[-1]
    assert item.level is EvidenceLevel.A3


def test_folders_are_not_counted_as_warc_files() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for number in range(20):
            made.writestr(f"archive/{number}/", b"")
        made.writestr("archive/data.warc", warc_record(b"words"))
    assert list(content_hashes_by_address(file.getvalue())) == ["http://a.example/"]


@pytest.mark.parametrize("record_count", [1, 300])
def test_decompression_bombs_are_refused(
    record_count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrenous.respond.capture.second_capture.UNPACKED_BYTES_MAX", 1_000_000)
    bomb = zlib.compress(bytes(10_000_000 // record_count))
    with pytest.raises(NotAWebArchive):
        content_hashes_by_address(wacz_file(warc_record(bomb, "deflate") * record_count))
    with pytest.raises(NotAWebArchive):
        content_hashes_by_address(wacz_file(bytes(2_000_000)))


@given(st.binary(max_size=200), st.integers(0, 300))
def test_any_bytes_are_read_or_refused(data: bytes, position: int) -> None:
    record = warc_record(b"words")
    with contextlib.suppress(NotAWebArchive):
        content_hashes_by_address(wacz_file(record[:position] + data + record[position:]))
