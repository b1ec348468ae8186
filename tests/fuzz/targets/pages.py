"""Targets for robots.txt, web pages, saved pages, web archives and IP addresses."""

import gzip
import io
import zipfile
from typing import Final

from entrenous.respond.capture.saved_page import describe_file
from entrenous.respond.capture.second_capture import content_hashes_by_address
from entrenous.respond.watch.page_pictures import PAGE_PICTURES_MAX, picture_urls
from entrenous.respond.watch.polite_web import NotOnTheWeb, is_public_ip, normalize_web_address
from entrenous.respond.watch.robots import RobotsRules, read_robots
from tests.fuzz.target import Target, property_check

_PAGE_URL: Final = "https://site.example/posts/1"


def _has_valid_rules(rules: RobotsRules) -> bool:
    """Return whether ``allows`` returns a boolean for a page, and True for robots.txt."""
    return rules.allows(_PAGE_URL) in {True, False} and rules.allows(
        "https://site.example/robots.txt"
    )


def _has_valid_urls(urls: tuple[str, ...]) -> bool:
    """Return whether the number of URLs is within the limit, and each begins with ``http``."""
    for url in urls:
        try:
            normalize_web_address(url)
        except NotOnTheWeb:  # a request for this URL would be refused
            continue
    return len(urls) <= PAGE_PICTURES_MAX and all(url.startswith("http") for url in urls)


def _is_public_address(untrusted: bytes) -> bool:
    return is_public_ip(untrusted.decode("ascii"))


def _warc_bytes() -> bytes:
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\nwords"
    head = b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://a.example/\r\n"
    head += b"WARC-Date: 2026-11-30T00:00:00Z\r\nWARC-Record-ID: <urn:uuid:1>\r\n"
    head += b"Content-Type: application/http; msgtype=response\r\nContent-Length: %d\r\n\r\n"
    return head % len(http) + http + b"\r\n\r\n"


def _wacz_bytes(warc: bytes, name: str = "data.warc") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("datapackage.json", b"{}")
        archive.writestr(f"archive/{name}", warc)
    return file.getvalue()


TARGETS: Final = (
    Target(
        "robots",
        property_check(read_robots, _has_valid_rules),
        lambda: [
            b"User-agent: *\nDisallow: /a*b$\nAllow: /\n",
            b"User-Agent: entrenous\r\nDisallow: /%41\r\n",
        ],
    ),
    Target(
        "page-pictures",
        property_check(lambda untrusted: picture_urls(untrusted, _PAGE_URL), _has_valid_urls),
        lambda: [
            b'<base href="/b/"><img src="a.jpg" srcset="/s 1x, /l 2x">',
            b'<meta charset=utf-8><meta property="og:image" content="//x/&amp;y">',
        ],
    ),
    Target(
        "saved-page",
        property_check(describe_file, bool),
        lambda: [
            b"<!DOCTYPE html><html>",
            b"MIME-Version: 1.0\r\nContent-Type: multipart/related\r\n",
            _wacz_bytes(b"WARC/1.0"),
            gzip.compress(b"WARC/1.0"),
        ],
    ),
    Target(
        "second-capture",
        property_check(
            content_hashes_by_address,
            lambda found: all(len(one) == 32 for hashes in found.values() for one in hashes),
        ),
        lambda: [
            _wacz_bytes(_warc_bytes()),
            _wacz_bytes(gzip.compress(_warc_bytes()), "data.warc.gz"),
        ],
    ),
    Target(
        "ip-address",
        property_check(_is_public_address, lambda result: result in {True, False}, (ValueError,)),
        lambda: [b"127.0.0.1", b"::ffff:10.0.0.1", b"64:ff9b::a00:1", b"fe80::1%lo", b"8.8.8.8"],
        input_bytes_max=64,
    ),
)
