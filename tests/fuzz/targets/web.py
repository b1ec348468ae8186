"""Target for raw HTTP requests that are read without the parser."""

from typing import Final

import httptools

from entrenous.serving.buffered_requests import BufferedRequest, parse_buffered_request
from tests.fuzz.target import Target, satisfies


class Parsed:
    """A request as the parser (httptools) reads it; raises the parser's errors."""

    def __init__(self, untrusted: bytes) -> None:
        self.url, self.body, self.begun, self.ended = b"", b"", 0, 0
        self.headers: list[tuple[str, str]] = []
        parser = httptools.HttpRequestParser(self)
        parser.feed_data(untrusted)
        self.method = parser.get_method().decode()
        self.keeps = parser.should_keep_alive()

    def on_message_begin(self) -> None:
        self.begun += 1

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.ended += 1


def is_read_like_the_parser(untrusted: bytes) -> bool:
    """Return whether a buffered request, if it was taken, is what the parser reads."""
    whole = parse_buffered_request(untrusted)
    return whole is None or _equals(whole, Parsed(untrusted))


def _equals(whole: BufferedRequest, parsed: Parsed) -> bool:
    url = httptools.parse_url(parsed.url)
    headers = {name: value.strip(" \t") for name, value in parsed.headers}
    expected = BufferedRequest(
        *(parsed.method, url.path.decode(), (url.query or b"").decode(), headers, parsed.body)
    )
    return whole == expected and (parsed.begun, parsed.ended, parsed.keeps) == (1, 1, True)


TARGETS: Final = (
    Target(
        "whole-request",
        satisfies(is_read_like_the_parser, lambda same: same is True),
        lambda: [
            b"GET /v1/a?after=3 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x \r\n\r\n",
            b"PUT /a HTTP/1.1\r\nContent-Length: 4\r\nConnection: keep-alive\r\n\r\nbody",
            b"DELETE /a/b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ],
        longest=512,
    ),
)
