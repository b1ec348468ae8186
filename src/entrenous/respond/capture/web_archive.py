"""Write captured requests as a WARC (ISO 28500) inside a WACZ 1.1.1, all in memory.

docs/spec/case.md section 8 says what each record contains. The format of the WACZ is small, so no
library is used to write it; in the tests, the PyPI package ``wacz`` validates it.
"""

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ssl import DER_cert_to_PEM_cert
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from entrenous.base.environment import RandomSource
from entrenous.crypto.hashing import sha256
from entrenous.respond.watch.polite_web import RecordedTransfer, WebAnswer

WACZ_VERSION: Final = "1.1.1"
WARC_FILE: Final = "data.warc.gz"
CERTIFICATES_MEDIA_TYPE: Final = "application/pem-certificate-chain"  # RFC 8555 section 9.1
_FACTS_MEDIA_TYPE: Final = "application/json"
_HEADERS_END: Final = b"\r\n\r\n"
_ZIP_YEAR_MIN: Final = 1980
_UUID_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class HttpExchange:
    """One request and its answer, with its address and the time when it began (aware, UTC)."""

    at: datetime
    url: str
    answer: WebAnswer
    wire: RecordedTransfer


@dataclass(frozen=True, slots=True)
class Capture:
    """A capture of one web page.

    ``facts`` say who made the capture, why, and with which tool. The first exchange requested the
    address at which the picture was seen; ``url`` is the address of the page after redirects.
    """

    title: str
    software: str
    url: str
    exchanges: Sequence[HttpExchange]
    facts: Mapping[str, object]


def write_wacz(capture: Capture, created: datetime, random_source: RandomSource) -> bytes:
    """Return a WACZ of a capture; ``created`` is when the capture was finished (aware, UTC)."""
    warc, index = _write_warc(capture, created, random_source)
    page = [one for one in capture.exchanges if one.url == capture.url][-1]
    files = {
        f"archive/{WARC_FILE}": warc,
        "indexes/index.cdx": index,
        "pages/pages.jsonl": _pages_file(capture, page),
    }
    package = _to_json(
        {
            "profile": "data-package",
            "wacz_version": WACZ_VERSION,
            "title": capture.title,
            "created": _format_time_to_seconds(created),
            "software": capture.software,
            "mainPageUrl": page.url,
            "mainPageDate": _format_time_to_seconds(page.at),
            "resources": [_resource_entry(path, data) for path, data in files.items()],
        }
    )
    digest = _to_json({"path": "datapackage.json", "hash": _sha256_digest(package)})
    all_files = {**files, "datapackage.json": package, "datapackage-digest.json": digest}
    return uncompressed_zip(all_files, created)


def uncompressed_zip(files: Mapping[str, bytes], at: datetime) -> bytes:
    """Return a ZIP file of uncompressed files, byte for byte the same for the same input."""
    buffer = io.BytesIO()
    year = max(at.year, _ZIP_YEAR_MIN)
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as container:
        for path, data in files.items():
            entry = zipfile.ZipInfo(path, (year, at.month, at.day, at.hour, at.minute, at.second))
            entry.external_attr = 0o600 << 16
            container.writestr(entry, data)
    return buffer.getvalue()


def _resource_entry(path: str, data: bytes) -> dict[str, object]:
    name = path.rpartition("/")[2]
    return {"name": name, "path": path, "hash": _sha256_digest(data), "bytes": len(data)}


def _pages_file(capture: Capture, page: HttpExchange) -> bytes:
    head = {"format": "json-pages-1.0", "id": "pages", "title": "All Pages"}
    line = {
        "id": "page",
        "url": page.url,
        "ts": _format_time_to_seconds(page.at),
        "title": capture.title,
    }
    return b"".join(json.dumps(each).encode() + b"\n" for each in (head, line))


def _write_warc(
    capture: Capture, created: datetime, random_source: RandomSource
) -> tuple[bytes, bytes]:
    """Return the WARC, and then its index in CDXJ."""
    buffer = io.BytesIO()
    writer = _WarcWriter(buffer, random_source)
    info = f"software: {capture.software}\r\nformat: WARC File Format 1.1\r\n".encode()
    writer.write_record("warcinfo", created, info, "application/warc-fields", {})
    lines = list[str]()
    for one in capture.exchanges:
        start = buffer.tell()
        response = writer.write_exchange(one)
        lines.append(_cdxj_line(one, start, response.end - start))
    writer.write_record(
        "metadata",
        created,
        _to_json(capture.facts),
        _FACTS_MEDIA_TYPE,
        {"WARC-Target-URI": capture.url},
    )
    return buffer.getvalue(), "".join(sorted(lines)).encode()


@dataclass(frozen=True, slots=True)
class _WrittenRecord:
    id: str
    end: int


class _WarcWriter:
    """Writes WARC 1.1 records whose blocks are exactly the given bytes."""

    def __init__(self, buffer: io.BytesIO, random_source: RandomSource) -> None:
        self._held = buffer
        self._random_source = random_source
        self._writer = WARCWriter(buffer, gzip=True, warc_version="1.1")

    def write_exchange(self, exchange: HttpExchange) -> _WrittenRecord:
        """Write the response, the request and the certificates; return the response's record."""
        uri_header = {"WARC-Target-URI": exchange.url}
        ip_header = {"WARC-IP-Address": exchange.wire.ip} if exchange.wire.ip else {}
        truncated_header = {"WARC-Truncated": "length"} if exchange.answer.is_cut else {}
        digest_header = {
            "WARC-Payload-Digest": _sha256_digest(http_payload_of(exchange.wire.response))
        }
        response = self.write_record(
            "response",
            exchange.at,
            exchange.wire.response,
            _http_block_type("response"),
            uri_header | ip_header | truncated_header | digest_header,
        )
        related_headers = uri_header | {"WARC-Concurrent-To": response.id}
        self.write_record(
            "request",
            exchange.at,
            exchange.wire.request,
            _http_block_type("request"),
            related_headers,
        )
        if exchange.wire.certificates:
            chain = "".join(map(DER_cert_to_PEM_cert, exchange.wire.certificates)).encode()
            self.write_record(
                "metadata", exchange.at, chain, CERTIFICATES_MEDIA_TYPE, related_headers
            )
        return response

    def write_record(
        self, kind: str, at: datetime, block: bytes, media: str, extra_headers: Mapping[str, str]
    ) -> _WrittenRecord:
        name = UUID(bytes=self._random_source.token(_UUID_BYTES), version=4)
        headers: dict[str, str] = {
            "WARC-Type": kind,
            "WARC-Record-ID": f"<urn:uuid:{name}>",
            "WARC-Date": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "WARC-Block-Digest": _sha256_digest(block),
            **extra_headers,
        }
        headers.setdefault("WARC-Payload-Digest", _sha256_digest(http_payload_of(block)))
        record = self._writer.create_warc_record(
            "",  # with an address, warcio would parse the block and rewrite it
            kind,
            payload=io.BytesIO(block),
            length=len(block),
            warc_content_type=media,
            warc_headers=StatusAndHeaders("", list(headers.items()), protocol="WARC/1.1"),
        )
        self._writer.write_record(record)
        return _WrittenRecord(headers["WARC-Record-ID"], self._held.tell())


def _http_block_type(kind: str) -> str:
    return f"application/http; msgtype={kind}"


def http_payload_of(message: bytes) -> bytes:
    """Return the body of an HTTP message as it was sent. Bytes that are not an HTTP message are
    returned whole.
    """
    head, end, body = message.partition(_HEADERS_END)
    return body if end and b"HTTP/" in head.partition(b"\r\n")[0] else message


def _cdxj_line(exchange: HttpExchange, offset: int, length: int) -> str:
    """Return a line of CDXJ: a sortable key, the time, and where the record is."""
    about: dict[str, Any] = {
        "url": exchange.url,
        "mime": exchange.answer.content_type,
        "status": str(exchange.answer.status),
        "digest": _sha256_digest(http_payload_of(exchange.wire.response)),
        "length": str(length),
        "offset": str(offset),
        "filename": WARC_FILE,
    }
    return f"{surt_sort_key(exchange.url)} {exchange.at:%Y%m%d%H%M%S} {json.dumps(about)}\n"


def surt_sort_key(url: str) -> str:
    """Return a web address in sort-friendly form (SURT): its host's parts reversed, then the path
    and the sorted query.

    >>> surt_sort_key("https://www.Pictures.example/p/1?b=2&a=1")
    'example,pictures)/p/1?a=1&b=2'
    """
    parts = urlsplit(url.lower())
    host = (parts.hostname or "").removeprefix("www.")
    reversed_host = ",".join(reversed(host.split(".")))
    default_port = {"http": 80, "https": 443}.get(parts.scheme)
    port = f":{parts.port}" if parts.port not in {None, default_port} else ""
    path = parts.path.rstrip("/") or "/"
    query = f"?{'&'.join(sorted(parts.query.split('&')))}" if parts.query else ""
    return f"{reversed_host}{port}){path}{query}"


def _to_json(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode()


def _sha256_digest(data: bytes) -> str:
    return f"sha256:{sha256(data).hex()}"


def _format_time_to_seconds(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
