"""Tests of the demo's timestamp authority: stamps, refused queries, files and errors."""

import json
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from entrenous.demo.stamp_authority import LocalStampAuthority, NoOpenssl, make_stamp_server
from entrenous.respond.client.stamp_authority import QUERY_MEDIA_TYPE, HttpTimestampAuthority

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        shutil.which("openssl") is None, reason="openssl is not installed: apt install openssl"
    ),
]


@pytest.fixture(scope="module")
def running_authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("tsa") / "new"
    program = [sys.executable, "-m", "entrenous.demo.stamp_authority"]
    with subprocess.Popen(
        [*program, "--dir", folder, "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
        process.terminate()
        assert process.stdout.read() == ""


def test_stamp_authority_prints_one_line_when_ready(running_authority: dict[str, str]) -> None:
    assert set(running_authority) == {"schema", "url", "ca"}
    assert running_authority["schema"] == "entrenous/tsa/1"
    assert running_authority["url"].startswith("http://127.0.0.1:")
    assert "BEGIN CERTIFICATE" in Path(running_authority["ca"]).read_text()


def test_concurrent_timestamps_are_unique(running_authority: dict[str, str]) -> None:
    with httpx.Client() as client:
        stamps = HttpTimestampAuthority(
            running_authority["url"], Path(running_authority["ca"]).read_bytes(), client
        )
        with ThreadPoolExecutor(4) as crowd:
            got = list(crowd.map(stamps.stamp, [b"manifest %d" % n for n in range(8)]))
    assert len({stamp.token for stamp in got}) == 8


def test_key_folder_is_private(running_authority: dict[str, str]) -> None:
    folder = Path(running_authority["ca"]).parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("media_type", "body", "status"),
    [
        (QUERY_MEDIA_TYPE, b"", 400),
        ("text/plain", b"x", 400),
        (QUERY_MEDIA_TYPE, bytes(20_000), 400),
    ],
)
def test_empty_oversized_or_mistyped_query_is_refused(
    media_type: str, body: bytes, status: int, running_authority: dict[str, str]
) -> None:
    answer = httpx.post(
        running_authority["url"], content=body, headers={"Content-Type": media_type}
    )
    assert answer.status_code == status


def test_a_query_that_openssl_cannot_read_gets_no_stamp(running_authority: dict[str, str]) -> None:
    answer = httpx.post(
        running_authority["url"], content=b"nonsense", headers={"Content-Type": QUERY_MEDIA_TYPE}
    )
    assert answer.status_code == 200
    assert answer.content[4:7] == b"\x02\x01\x02"  # PKIStatus rejection (RFC 3161, 2.4.2)


def test_second_start_keeps_the_certificate(tmp_path: Path) -> None:
    first = LocalStampAuthority(tmp_path / "tsa")
    first.prepare()
    before = first.ca.read_bytes()
    LocalStampAuthority(tmp_path / "tsa").prepare()
    assert first.ca.read_bytes() == before


def test_stamp_authority_serves_loopback_only(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="only its own machine"):
        make_stamp_server(LocalStampAuthority(tmp_path), "0.0.0.0", 0)


def test_missing_openssl_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoOpenssl, match="apt install openssl"):
        LocalStampAuthority(tmp_path)
