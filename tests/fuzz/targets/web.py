"""A target that compares our reader of raw HTTP requests with the parser (httptools)."""

from typing import Final

import httptools

from entrenous.serving.buffered_requests import BufferedRequest, parse_buffered_request
from tests.fuzz.target import Target, property_check


class ParsedRequest:
    """A request as the parser (httptools) reads it; the constructor raises the parser's errors."""

    def __init__(self, untrusted: bytes) -> None:
        self.url, self.body, self.begun, self.ended = b"", b"", 0, 0
        self.headers: list[tuple[str, str]] = []
        parser = httptools.HttpRequestParser(self)
        parser.feed_data(untrusted)
        self.method = parser.get_method().decode()
        self.keeps_alive = parser.should_keep_alive()

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
    """Return whether our reader leaves the request to the parser, or reads it like the parser."""
    buffered = parse_buffered_request(untrusted)
    return buffered is None or _is_equal(buffered, ParsedRequest(untrusted))


def _is_equal(buffered: BufferedRequest, parsed: ParsedRequest) -> bool:
    url = httptools.parse_url(parsed.url)
    headers = {name: value.strip(" \t") for name, value in parsed.headers}
    expected = BufferedRequest(
        *(parsed.method, url.path.decode(), (url.query or b"").decode(), headers, parsed.body)
    )
    return buffered == expected and (parsed.begun, parsed.ended, parsed.keeps_alive) == (1, 1, True)


TARGETS: Final = (
    Target(
        "whole-request",
        property_check(is_read_like_the_parser, lambda same: same is True),
        lambda: [
            b"GET /v1/a?after=3 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x \r\n\r\n",
            b"PUT /a HTTP/1.1\r\nContent-Length: 4\r\nConnection: keep-alive\r\n\r\nbody",
            b"DELETE /a/b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ],
        input_bytes_max=512,
    ),
)
