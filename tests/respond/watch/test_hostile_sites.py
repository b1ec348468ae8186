"""Tests of hostile sites: private addresses; endless, slow and invalid answers; logs and errors."""

import gzip
import logging
import time
import zlib

import pytest

from entrenous.respond.capture.capture_page import RecordingWeb
from entrenous.respond.client.public_web import PublicWeb
from entrenous.respond.watch.check_sightings import check_due_sightings
from entrenous.respond.watch.page_pictures import PAGE_PICTURES_MAX
from entrenous.respond.watch.polite_web import (
    NotOnTheWeb,
    PoliteWeb,
    SiteDidNotAnswer,
    refuse_private_address,
)
from tests.respond.watch.site import (
    PageWatcher,
    PauseClock,
    Site,
    endless_reply,
    photo,
    picture_reply,
    redirect_reply,
    reply,
    slow_reply,
)

pytestmark = pytest.mark.real


def fetch(url: str, *, allow_loopback: bool) -> object:
    pauses = PauseClock()
    web = PoliteWeb(PublicWeb(time_max_s=5.0), lambda: pauses.now_s, pauses.sleep)
    return web.fetch(url, 1000, allow_loopback=allow_loopback)


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "[::1]", "0.0.0.0", "127.1", "2130706433", "0x7f.0.0.1"),
        *("10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "[fe80::1]"),
        *(
            "[::ffff:127.0.0.1]",
            "[::ffff:10.0.0.1]",
            "[64:ff9b::a00:1]",
            "[2002:a00:1::]",
            "224.0.0.1",
        ),
        *("[fec0::1]", "[::c0a8:101]", "[64:ff9b:1::a00:1]", "[::ffff:0:a00:1]"),
        *("[200::1]", "[3fff::1]", "[4000::1]", "[5f00::1]", "[2001:db8::1]"),
    ],
)
def test_address_outside_of_the_public_internet_is_refused(host: str) -> None:
    with pytest.raises(NotOnTheWeb):
        fetch(f"http://{host}:9/x", allow_loopback=False)


@pytest.mark.parametrize(
    "address",
    [
        *("2606:4700:4700::1111", "2a00:1450:4001::1", "3ffe::1", "::ffff:8.8.8.8"),
        *("64:ff9b::808:808", "2002:808:808::1"),
    ],
)
def test_address_on_the_public_internet_is_allowed(address: str) -> None:
    refuse_private_address(f"http://[{address}]/", allow_loopback=False)


@pytest.mark.threat("site-leads-inside")
def test_name_that_resolves_to_this_machine_is_never_contacted(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _, *a, **k: real("127.0.0.1", *a, **k))
    port = site.url.rpartition(":")[2]
    with pytest.raises(NotOnTheWeb):
        fetch(f"http://pictures.example:{port}/p", allow_loopback=False)
    assert site.requests == []


@pytest.mark.parametrize(
    "location", ["http://10.0.0.1/", "http://192.168.0.1/", "file:///etc/passwd", "ftp://x/"]
)
def test_redirect_to_a_private_address_or_another_scheme_is_not_followed(
    watcher: PageWatcher, location: str
) -> None:
    watcher.site.pages["/post"] = redirect_reply(location)
    assert watcher.watch_pages("/post").check_state() == ("unknown", "not-public")


@pytest.mark.threat("site-leads-inside")
def test_pictures_at_private_addresses_are_not_requested(watcher: PageWatcher) -> None:
    inside = "".join(f'<img src="http://10.0.0.{n}/p.jpg">' for n in range(5))
    watcher.site.pages |= {"/post": reply(inside + '<img src="/p.jpg">'), "/p.jpg": picture_reply()}
    assert watcher.watch_pages("/post").check_state() == ("still there", "picture")
    assert watcher.site.requested_paths == ["/robots.txt", "/post", "/p.jpg"]


def test_endless_redirects_mean_unreachable(watcher: PageWatcher) -> None:
    watcher.site.pages["/post"] = redirect_reply("/post")
    assert watcher.watch_pages("/post").check_state() == ("unreachable", "silent")
    assert watcher.site.requested_paths.count("/post") == 6


@pytest.mark.threat("site-leads-inside")
def test_endless_page_gives_state_unknown(watcher: PageWatcher) -> None:
    watcher.site.pages["/post"] = endless_reply()
    assert watcher.watch_pages("/post").check_state() == ("unknown", "no-picture")


def test_endless_picture_is_not_compared(watcher: PageWatcher) -> None:
    watcher.site.pages |= {
        "/post": reply('<img src="/p.jpg">'),
        "/p.jpg": endless_reply("image/jpeg"),
    }
    assert watcher.watch_pages("/post").check_state() == ("unknown", "no-picture")


def test_endless_robots_txt_does_not_prevent_the_check(watcher: PageWatcher) -> None:
    watcher.site.pages |= {"/robots.txt": endless_reply("text/plain"), "/post": picture_reply()}
    assert watcher.watch_pages("/post").check_state() == ("still there", "picture")


def test_slow_answer_is_given_up_and_means_unreachable(watcher: PageWatcher) -> None:
    watcher.site.pages["/post"] = slow_reply()
    watcher.watch_pages("/post")
    start = time.monotonic()
    (one,) = watcher.check_due(time_max_s=1.0)
    assert one.record.state == "unreachable"
    assert time.monotonic() - start < 15.0  # the default limit is 20 s


def test_compressed_answer_is_not_unpacked(watcher: PageWatcher) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    watcher.site.pages["/post"] = reply(bomb, Content_Encoding="gzip")
    assert watcher.watch_pages("/post").check_state() == ("unknown", "odd")


def test_decompression_bomb_of_a_picture_is_refused_by_the_sandbox(watcher: PageWatcher) -> None:
    watcher.site.pages |= {
        "/post": reply('<img src="/b.png">'),
        "/b.png": reply(picture_bomb(), "image/png"),
    }
    assert watcher.watch_pages("/post").check_state() == ("unknown", "no-picture")


def picture_bomb() -> bytes:
    """Return a small PNG file whose header states 60,000 by 60,000 pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        size = len(content).to_bytes(4, "big")
        return size + name + content + zlib.crc32(name + content).to_bytes(4, "big")

    side = (60_000).to_bytes(4, "big")
    head = chunk(b"IHDR", side + side + b"\x08\x00\x00\x00\x00")
    rows = zlib.compress(bytes(10_000_000))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("content_type", ["image/jpeg", "text/html", "application/x-anything", ""])
def test_type_is_detected_by_the_bytes_not_by_the_header(
    watcher: PageWatcher, content_type: str
) -> None:
    watcher.site.pages["/p"] = reply(photo(), content_type)
    assert watcher.watch_pages("/p").check_state() == ("still there", "picture")


@pytest.mark.parametrize("body", [b"%PDF-1.7", b"\0" * 100, b"PK\3\4", b"\xff\xd8\xff cut", b""])
def test_file_that_is_no_picture_or_page_gives_state_unknown(
    watcher: PageWatcher, body: bytes
) -> None:
    watcher.site.pages["/p"] = reply(body, "application/octet-stream")
    state, why = watcher.watch_pages("/p").check_state()
    assert state == "unknown"
    assert why in {"odd", "no-picture"}


def test_at_most_sixteen_of_ten_thousand_pictures_are_requested(watcher: PageWatcher) -> None:
    many = "".join(f'<img src="/{n}.jpg">' for n in range(10_000))
    watcher.site.pages["/post"] = reply(many)
    assert watcher.watch_pages("/post").check_state() == ("unknown", "no-picture")
    assert len(watcher.site.requested_paths) == 2 + PAGE_PICTURES_MAX


@pytest.mark.parametrize("status", [200, 302])
def test_pictures_of_a_page_have_a_common_limit_that_includes_redirects(
    watcher: PageWatcher, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr("entrenous.respond.watch.check_sightings.ANSWER_BYTES_MAX", 80_000)
    monkeypatch.setattr("entrenous.respond.watch.check_sightings.PAGE_PICTURES_BYTES_MAX", 480_000)
    page = "".join(f'<img src="/{n}">' for n in range(PAGE_PICTURES_MAX))
    watcher.site.pages["/post"] = reply(page)
    for path in (f"/{n}{'x' * step}" for n in range(PAGE_PICTURES_MAX) for step in range(6)):
        watcher.site.pages[path] = reply(b"x" * 70_000, status=status, Location=f"{path}x")
    device = watcher.watch_pages("/post").owner.device
    web, pauses = RecordingWeb(PublicWeb(), device.clock), PauseClock()
    (one,) = check_due_sightings(
        device, PoliteWeb(web, lambda: pauses.now_s, pauses.sleep), by_proxy=False
    )
    assert one.record.why == "no-picture"
    received = [len(each.answer.body) for each in web.exchanges if not each.url.endswith("t")]
    assert sum(received) == 480_000


def test_redirects_with_large_bodies_mean_unreachable(
    watcher: PageWatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrenous.respond.watch.check_sightings.ANSWER_BYTES_MAX", 80_000)
    watcher.site.pages |= {
        "/a": reply(b"x" * 70_000, status=302, Location="/b"),
        "/b": reply(b"x" * 10_000, status=302, Location="/a"),
    }
    assert watcher.watch_pages("/a").check_state() == ("unreachable", "silent")
    assert watcher.site.requested_paths == ["/robots.txt", "/a", "/b"]


def test_data_urls_are_ignored(watcher: PageWatcher) -> None:
    inline = '<img src="data:image/png;base64,' + "A" * 100_000 + '">'
    watcher.site.pages |= {
        "/post": reply(inline * 10 + '<img src="/p.jpg">'),
        "/p.jpg": picture_reply(),
    }
    assert watcher.watch_pages("/post").check_state() == ("still there", "picture")


def test_answer_that_is_not_http_means_unreachable(watcher: PageWatcher) -> None:
    def send_nonsense(request: object) -> None:
        request.wfile.write(b"\x16\x03\x01 nonsense\r\n\r\n")  # type: ignore[attr-defined]

    watcher.site.pages["/post"] = send_nonsense
    assert watcher.watch_pages("/post").check_state() == ("unreachable", "silent")


def test_million_headers_mean_unreachable(watcher: PageWatcher) -> None:
    def send_headers(request: object) -> None:
        try:
            request.wfile.write(b"HTTP/1.1 200 OK\r\n")  # type: ignore[attr-defined]
            for number in range(1_000_000):
                request.wfile.write(b"X-%d: y\r\n" % number)  # type: ignore[attr-defined]
        except OSError:
            pass

    watcher.site.pages["/post"] = send_headers
    assert watcher.watch_pages("/post").check_state() == ("unreachable", "silent")


def test_cookies_are_not_sent_back(watcher: PageWatcher) -> None:
    watcher.site.pages |= {
        "/post": reply('<img src="/p.jpg">', Set_Cookie="who=ana"),
        "/p.jpg": picture_reply(),
    }
    watcher.watch_pages("/post").check_due()
    assert all("cookie" not in headers for _, headers in watcher.site.requests)


def test_errors_contain_no_address(site: Site) -> None:
    secret = f"{site.url}/secret-path"
    site.pages["/secret-path"] = redirect_reply("http://10.0.0.1/secret-path")
    for url in (secret, "http://127.0.0.1:9/secret-path"):
        with pytest.raises((NotOnTheWeb, SiteDidNotAnswer)) as raised:
            fetch(url, allow_loopback=True)
        assert "secret" not in str(raised.value)
        assert "127.0.0.1" not in str(raised.value)
        assert raised.value.__cause__ is None
        assert raised.value.__context__ is None or raised.value.__suppress_context__


@pytest.mark.threat("watching-betrays")
def test_logs_contain_no_address(watcher: PageWatcher, caplog: pytest.LogCaptureFixture) -> None:
    watcher.site.pages |= {"/secret-path": reply('<img src="/p.jpg">'), "/p.jpg": picture_reply()}
    watcher.watch_pages("/secret-path", "http://127.0.0.1:9/secret-path")
    with caplog.at_level(logging.DEBUG):
        watcher.check_due()
    assert "secret-path" not in caplog.text
    assert "p.jpg" not in caplog.text
    assert "127.0.0.1" not in caplog.text
