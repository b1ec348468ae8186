"""Tests of capturing pages of a site on loopback: the stored WACZ, failures and refusals."""

import copy
import io
import json
import ssl
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from warcio.archiveiterator import ArchiveIterator
from warcio.checker import Checker

from entrenous.respond.age_gate import NotAllAdults
from entrenous.respond.capture.capture_page import CaptureEnvironment, NotCapturable, capture_page
from entrenous.respond.capture.web_archive import surt_sort_key
from entrenous.respond.case_file import CaseClosed, find_case
from entrenous.respond.case_status import close_case
from entrenous.respond.client.public_web import PublicWeb
from entrenous.respond.custody import verify_chain
from entrenous.respond.evidence import make_manifest
from entrenous.respond.nouns import EvidenceLevel, NoSuchCaseEntry, SightingReach
from entrenous.respond.open_case import add_sighting, record_somebody_under_18
from entrenous.respond.watch.polite_web import NotOnTheWeb, SiteDidNotAnswer
from tests.respond.case_owner import CaseOwner, make_sighting, situation_in
from tests.respond.watch.site import (
    PauseClock,
    Site,
    endless_reply,
    photo,
    picture_reply,
    redirect_reply,
    reply,
    serve_site,
    slow_reply,
)
from tests.serving.certificates import write_authority_and_certificate

pytestmark = pytest.mark.real

WACZ_PROGRAM = Path(sys.executable).parent / "wacz"
PAGE_HTML = '<html><head><title>A post</title></head><body><img src="/p.jpg"></body></html>'


@pytest.fixture
def site() -> Iterator[Site]:
    with serve_site() as served:
        served.pages |= {"/post": reply(PAGE_HTML, X_Odd="a  b"), "/p.jpg": picture_reply()}
        yield served


def capture_in_new_case(
    owner: CaseOwner, url: str, context: ssl.SSLContext | None = None, time_max_s: float = 20.0
) -> bytes:
    """Capture a page for a new case, and return the stored WACZ."""
    name = owner.open_case().name
    add_sighting(name, make_sighting(url, at=owner.clock.now()), owner.device)
    web = PublicWeb(records=True, time_max_s=time_max_s)
    if context is not None:
        web.context = context
    pauses = PauseClock()
    env = CaptureEnvironment(
        web, lambda: pauses.now_s, pauses.sleep, timedelta(hours=5, minutes=30)
    )
    case = capture_page(name, 1, "for the police", env, owner.device)
    (item,) = case.evidence
    assert (item.level, item.sighting) == (EvidenceLevel.A2, 1)
    return owner.vault.read_stored_file(item.blob)


def tls_contexts(
    folder: Path,
) -> tuple[ssl.SSLContext, ssl.SSLContext, list[x509.Certificate]]:
    """Return the TLS context of a server, that of a client, and the server's certificates.

    The client trusts the server.
    """
    trusted, pair = write_authority_and_certificate(folder, "localhost")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pair.cert, pair.key)
    client = ssl.create_default_context(cafile=str(trusted))
    return server, client, x509.load_pem_x509_certificates(pair.cert.read_bytes())


def zip_contents(wacz: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(wacz)) as container:
        return {name: container.read(name) for name in container.namelist()}


def warc_records(wacz: bytes) -> list[tuple[dict[str, str], bytes]]:
    """Return the headers and the unparsed block of each WARC record."""
    warc = zip_contents(wacz)["archive/data.warc.gz"]
    found = ArchiveIterator(io.BytesIO(warc), no_record_parse=True)
    return [(dict(one.rec_headers.headers), one.raw_stream.read()) for one in found]


def capture_facts(wacz: bytes) -> dict[str, Any]:
    headers, block = warc_records(wacz)[-1]
    assert headers["WARC-Type"] == "metadata"
    parsed: dict[str, Any] = json.loads(block)
    return parsed


def test_wacz_program_detects_a_changed_page_list(
    owner: CaseOwner, site: Site, tmp_path: Path
) -> None:
    from entrenous.respond.capture.web_archive import uncompressed_zip

    parts = zip_contents(capture_in_new_case(owner, f"{site.url}/post"))
    parts["pages/pages.jsonl"] = parts["pages/pages.jsonl"].replace(b"post", b"past")
    file = tmp_path / "capture.wacz"
    file.write_bytes(uncompressed_zip(parts, datetime(2026, 11, 30, tzinfo=UTC)))
    command = [str(WACZ_PROGRAM), "validate", "-f", str(file)]
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


def test_warcio_agrees_with_every_digest(
    owner: CaseOwner, site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "data.warc.gz"
    file.write_bytes(
        zip_contents(capture_in_new_case(owner, f"{site.url}/post"))["archive/data.warc.gz"]
    )
    command = type("Command", (), {"inputs": [str(file)], "verbose": True})()
    checker = Checker(command)
    checker.process_all()
    assert checker.exit_value == 0
    output = capsys.readouterr().out
    assert "digest pass" in output
    assert "fail" not in output


def test_each_answer_is_stored_with_its_request(owner: CaseOwner, site: Site) -> None:
    stored = warc_records(capture_in_new_case(owner, f"{site.url}/post"))
    kinds = [(headers["WARC-Type"], headers.get("WARC-Target-URI", "")) for headers, _ in stored]
    page, shown = f"{site.url}/post", f"{site.url}/p.jpg"
    pairs = [("response", page), ("request", page), ("response", shown), ("request", shown)]
    assert kinds == [("warcinfo", ""), *pairs, ("metadata", page)]
    response, request = stored[1][1], stored[2][1]
    assert response.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"X-Odd: a  b\r\n" in response
    assert response.endswith(PAGE_HTML.encode())
    assert request.startswith(b"GET /post HTTP/1.1\r\nHost: 127.0.0.1:")
    assert stored[3][1].endswith(photo("astronaut", 75, 400))
    assert stored[2][0]["WARC-Concurrent-To"] == stored[1][0]["WARC-Record-ID"]
    assert stored[1][0]["WARC-IP-Address"] == "127.0.0.1"


def test_irregular_header_is_stored_unchanged(owner: CaseOwner, site: Site) -> None:
    raw = b"HTTP/1.1 200 Fine by me\r\ncontent-TYPE:text/plain\r\nX:  1\r\nX: 2\r\n\r\nwords"

    def answer(request: Any) -> None:
        request.wfile.write(raw)

    site.pages["/odd"] = answer
    assert warc_records(capture_in_new_case(owner, f"{site.url}/odd"))[1][1] == raw


def test_chunked_answer_is_stored_unchanged(owner: CaseOwner, site: Site) -> None:
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwords\r\n0\r\n\r\n"

    def answer(request: Any) -> None:
        request.wfile.write(raw)

    site.pages["/chunks"] = answer
    assert warc_records(capture_in_new_case(owner, f"{site.url}/chunks"))[1][1] == raw


def test_interim_answers_are_left_out(owner: CaseOwner, site: Site) -> None:
    def answer(request: Any) -> None:
        request.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")

    site.pages["/hints"] = answer
    stored = warc_records(capture_in_new_case(owner, f"{site.url}/hints"))[1][1]
    assert stored == b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"


def test_redirects_are_stored_and_the_final_address_is_recorded(
    owner: CaseOwner, site: Site
) -> None:
    site.pages["/short"] = redirect_reply("/post")
    wacz = capture_in_new_case(owner, f"{site.url}/short")
    saved = capture_facts(wacz)
    assert (saved["url_typed"], saved["url_final"]) == (f"{site.url}/short", f"{site.url}/post")
    # A capture at a person's request does not ask for robots.txt.
    assert site.requested_paths == ["/short", "/post", "/p.jpg"]
    responses = [
        h["WARC-Target-URI"] for h, _ in warc_records(wacz) if h["WARC-Type"] == "response"
    ]
    assert responses == [f"{site.url}{path}" for path in site.requested_paths]
    page = json.loads(zip_contents(wacz)["pages/pages.jsonl"].splitlines()[1])
    assert page["url"] == f"{site.url}/post"


def test_capture_records_time_reason_and_program(owner: CaseOwner, site: Site) -> None:
    saved = capture_facts(capture_in_new_case(owner, f"{site.url}/post"))
    assert saved["schema"] == "entrenous/capture/1"
    assert saved["started_at"] == "2026-11-25T12:00:00.000000Z"
    assert saved["local_time"] == "2026-11-25T17:30:00+05:30"
    assert (saved["why"], saved["who"]) == ("for the police", "the owner of this device")
    assert saved["tool"].startswith("entrenous ")
    assert (saved["whole"], saved["pictures_missing"], saved["by_proxy"]) == (True, 0, False)


# The indexer imports pyamf, which uses a function that Python deprecates from 3.12 on.
@pytest.mark.filterwarnings("ignore:.*utcfromtimestamp:DeprecationWarning:pyamf")
def test_index_agrees_with_the_reference_indexer(owner: CaseOwner, site: Site) -> None:
    from cdxj_indexer.main import CDXJIndexer

    site.pages["/short"] = redirect_reply("/post")
    parts = zip_contents(capture_in_new_case(owner, f"{site.url}/short"))
    with tempfile.TemporaryDirectory() as folder:
        warc = Path(folder) / "data.warc.gz"
        warc.write_bytes(parts["archive/data.warc.gz"])
        reference = io.StringIO()
        CDXJIndexer(
            reference, [str(warc)], sort=True, records="response", post_append=True
        ).process_all()
    expected_lines = [line.split(" ", 2) for line in reference.getvalue().splitlines()]
    lines = [line.split(" ", 2) for line in parts["indexes/index.cdx"].decode().splitlines()]
    assert [line[:2] for line in lines] == [line[:2] for line in expected_lines]
    for actual, wanted in zip(lines, expected_lines, strict=True):
        fields, expected_fields = json.loads(actual[2]), json.loads(wanted[2])
        for key in ("url", "status", "length", "offset", "filename", "digest"):
            assert fields[key] == expected_fields[key], key


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "https://www.example.com/A/b?z=1&A=2",
        "http://example.com:8080/x",
        "http://sub.pictures.example/p/1/",
        "http://127.0.0.1:8000/p",
    ],
)
def test_sort_keys_equal_those_of_the_surt_package(url: str) -> None:
    import surt

    assert surt_sort_key(url) == surt.surt(url)


def test_certificate_chain_is_stored(owner: CaseOwner, tmp_path: Path) -> None:
    server, client, certificates = tls_contexts(tmp_path)
    with serve_site(server) as served:
        served.pages["/post"] = reply("words")
        wacz = capture_in_new_case(owner, f"{served.url}/post", client)
    (pem,) = [
        block
        for headers, block in warc_records(wacz)
        if headers.get("Content-Type") == "application/pem-certificate-chain"
    ]
    assert x509.load_pem_x509_certificates(pem) == certificates
    response = warc_records(wacz)[1][1]
    assert response.startswith(b"HTTP/1.1 200 OK\r\n")
    assert response.endswith(b"words")


def test_site_with_an_untrusted_certificate_is_not_captured(
    owner: CaseOwner, tmp_path: Path
) -> None:
    server, _, _ = tls_contexts(tmp_path)
    refused = pytest.raises(SiteDidNotAnswer, match="certificate")
    with serve_site(server) as served, refused:
        capture_in_new_case(owner, f"{served.url}/post")
    assert find_case(owner.vault.keys("cases")[0], owner.device).evidence == ()


@pytest.mark.parametrize("status", [404, 410, 500, 403])
def test_error_page_is_captured(owner: CaseOwner, site: Site, status: int) -> None:
    site.pages["/post"] = reply("it is gone", status=status)
    wacz = capture_in_new_case(owner, f"{site.url}/post")
    assert warc_records(wacz)[1][1].startswith(b"HTTP/1.1 %d " % status)
    case = find_case(owner.vault.keys("cases")[0], owner.device)
    assert case.evidence[0].what == f"capture of sighting 1, HTTP status {status}"


def test_picture_at_a_private_address_is_counted_as_missing(owner: CaseOwner, site: Site) -> None:
    site.pages["/post"] = reply('<img src="http://10.0.0.1/a"><img src="/p.jpg">')
    saved = capture_facts(capture_in_new_case(owner, f"{site.url}/post"))
    assert saved["pictures_missing"] == 1


def test_endless_page_is_truncated_and_recorded_as_truncated(owner: CaseOwner, site: Site) -> None:
    site.pages["/post"] = endless_reply("text/plain")
    wacz = capture_in_new_case(owner, f"{site.url}/post")
    assert capture_facts(wacz)["whole"] is False
    assert warc_records(wacz)[1][0]["WARC-Truncated"] == "length"
    assert len(wacz) < 2 * 16 * 1024 * 1024


def test_limit_for_all_answers_includes_redirects(
    owner: CaseOwner, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrenous.respond.capture.capture_page.CAPTURED_FILE_BYTES_MAX", 160_000)
    monkeypatch.setattr("entrenous.respond.capture.capture_page.CAPTURE_BYTES_MAX", 640_000)
    site.pages["/post"] = reply("".join(f'<img src="/{n}">' for n in range(16)))
    for path in (f"/{n}{'x' * step}" for n in range(16) for step in range(6)):
        site.pages[path] = reply(b"x" * 150_000, status=302, Location=f"{path}x")
    wacz = capture_in_new_case(owner, f"{site.url}/post")
    answers = [record for record in warc_records(wacz) if record[0]["WARC-Type"] == "response"]
    cut = [headers for headers, _ in answers if "WARC-Truncated" in headers]
    # Of an answer that is cut, the part that was received in one go is stored in full.
    assert sum(len(block) for _, block in answers) < 640_000 + 2 * 65536 * len(cut)
    assert capture_facts(wacz)["pictures_missing"] == 16


def test_slow_page_is_not_captured(owner: CaseOwner, site: Site) -> None:
    site.pages["/post"] = slow_reply()
    with pytest.raises(SiteDidNotAnswer, match="too long"):
        capture_in_new_case(owner, f"{site.url}/post", time_max_s=1.0)


def test_redirect_to_a_private_address_is_not_captured(owner: CaseOwner, site: Site) -> None:
    site.pages["/post"] = redirect_reply("http://10.0.0.1/")
    with pytest.raises(NotOnTheWeb):
        capture_in_new_case(owner, f"{site.url}/post")
    assert find_case(owner.vault.keys("cases")[0], owner.device).evidence == ()


def test_capture_is_in_the_chain_and_in_the_manifest(owner: CaseOwner, site: Site) -> None:
    capture_in_new_case(owner, f"{site.url}/post")
    case = find_case(owner.vault.keys("cases")[0], owner.device)
    assert verify_chain(case.name, owner.device)[-1].item == 1
    (line,) = make_manifest(case, owner.device).items
    assert line.level is EvidenceLevel.A2


def test_refused_capture_requests_and_writes_nothing(owner: CaseOwner, site: Site) -> None:
    name = owner.open_case().name
    add_sighting(name, make_sighting(f"{site.url}/post"), owner.device)
    add_sighting(name, make_sighting("a chat", SightingReach.PRIVATE), owner.device)
    env = CaptureEnvironment(PublicWeb(records=True), lambda: 0.0, lambda _: None, timedelta(0))

    def assert_refused(number: int, error: type[Exception]) -> None:
        before = copy.deepcopy((owner.vault._tables, owner.vault._files))
        with pytest.raises(error):
            capture_page(name, number, "", env, owner.device)
        assert (owner.vault._tables, owner.vault._files) == before

    assert_refused(2, NotCapturable)
    assert_refused(3, NoSuchCaseEntry)
    close_case(name, owner.device)
    assert_refused(1, CaseClosed)
    with pytest.raises(NotAllAdults):
        record_somebody_under_18(name, situation_in("US"), owner.device)
    assert_refused(1, NotAllAdults)
    assert site.requests == []


def test_capture_opens_no_file_for_writing(owner: CaseOwner, site: Site) -> None:
    opened = list[str]()

    def record_open(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and recording and _opens_for_writing(arguments):
            opened.append(str(arguments[0]))

    recording = True
    sys.addaudithook(record_open)
    try:
        capture_in_new_case(owner, f"{site.url}/post")
    finally:
        recording = False
    assert opened == []


def _opens_for_writing(arguments: tuple[Any, ...]) -> bool:
    _, mode, flags = arguments
    return bool(mode and set(mode) & set("wax+")) or bool((flags or 0) & 0o3)
