"""Tests that a case leaks no picture, and that no file changes after the answer "under 18".

Commands that read or write evidence run in a subprocess under strace. The picture has known bytes
and EXIF data, and is on a page with a known URL. No output and no file may contain the bytes or the
EXIF data unencrypted. The URL may be only in printed output, letters and packs.
"""

import io
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from ssl import PEM_cert_to_DER_cert
from typing import Any

import numpy as np
import pyrage
import pytest
from PIL import Image

from entrenous.cli import run
from entrenous.demo.stamp_authority import LocalStampAuthority
from tests.vaults import make_vaults_open_quickly

needs_strace_and_openssl = pytest.mark.skipif(
    shutil.which("strace") is None or shutil.which("openssl") is None,
    reason="needs strace and openssl: apt install strace openssl",
)
pytestmark = [pytest.mark.real, pytest.mark.slow, needs_strace_and_openssl]

Capsys = pytest.CaptureFixture[str]
STRACE_COMMAND = ("strace", "-f", "-y", "-qq", "--seccomp-bpf", "-e", "trace=openat", "-o")
WINDOW_BYTES = 16  # a match of 16 bytes is no coincidence
EXIF_DESCRIPTION = "canary of the camera 5d1b7e, 52.520008 N 13.404954 E"
PAGE_URL = "https://pictures.example/canary/8c41d0a7"
STATEMENT = "canary: I saw it on Tuesday in the break, told to nobody 77ab1c"
OPENAT_CALL = re.compile(
    r'openat\((?:AT_FDCWD|\d+)(?:<[^>]*>)?, "(?P<path>[^"]*)", (?P<flags>[A-Z_|]+)'
)


class RecordingStampAuthority(BaseHTTPRequestHandler):
    """A stamp authority on loopback that records the requests that it gets."""

    authority: LocalStampAuthority
    requests: list[bytes]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.requests.append(self.raw_requestline + bytes(self.headers) + body)
        reply = self.authority.answer(body)
        self.send_response(200)
        self.send_header("Content-Type", "application/timestamp-reply")
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_: object) -> None:
        pass


class Program:
    """The program on one device, with records of the output, the written files and the requests."""

    def __init__(self, folder: Path, url: str, ca: str, capsys: Capsys) -> None:
        self.folder, self.capsys = folder, capsys
        self.requests = list[bytes]()
        self.home, self.out, self.temporary = folder / "home", folder / "out", folder / "tmp"
        self.temporary.mkdir()
        self.output = b""
        self.written_paths = set[str]()
        (folder / "bundle.pem").write_text(ca)
        digest = sha256(PEM_cert_to_DER_cert(ca)).hexdigest()
        (folder / "table.toml").write_text(
            f'schema = 1\nread_on = 2026-11-30\n[authority.ours]\nname = "ours"\nurl = "{url}"\n'
            f'root = "ours"\nroot_sha256 = "{digest}"\nsource = "https://stamps.test"\n'
            'verified = true\nverified_by = "a test"\n'
        )

    def environment(self) -> dict[str, str]:
        return {
            "ENTRENOUS_HOME": str(self.home),
            "ENTRENOUS_PASSPHRASE": "four or five unrelated words",
            "ENTRENOUS_CA_BUNDLE": str(self.folder / "bundle.pem"),
            "ENTRENOUS_STAMP_AUTHORITIES": str(self.folder / "table.toml"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": str(self.temporary),
        }

    def run_command(self, *arguments: str, typed: str = "", status: int = 0) -> Any:
        """Run a command in this process, which is faster than a subprocess."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment().items():
                patch.setenv(name, value)
            patch.setattr("tempfile.tempdir", str(self.temporary))
            patch.setattr("sys.stdin", io.StringIO(typed))
            assert run(list(arguments), {}) == status, arguments
        out, err = self.capsys.readouterr()
        self.output += (out + err).encode()
        return json.loads(out) if "--json" in arguments and out else None

    def run_traced_command(self, *arguments: str, typed: str = "") -> Any:
        """Run a command in a subprocess that strace traces."""
        trace = self.folder / "trace"
        done = subprocess.run(
            [*STRACE_COMMAND, str(trace), sys.executable, "-m", "entrenous", *arguments],
            env=os.environ | self.environment(),
            input=typed.encode(),
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, (arguments, done.stderr.decode())
        self.output += done.stdout + done.stderr
        self.written_paths |= set(paths_opened_for_writing(trace.read_text(errors="replace")))
        return json.loads(done.stdout) if "--json" in arguments and done.stdout else None

    def file_contents(self) -> dict[str, bytes]:
        """Return the contents of the device's files and of temporary files, by path."""
        places = [one for top in (self.home, self.temporary) for one in top.rglob("*")]
        return {str(one): one.read_bytes() for one in places if one.is_file()}


def paths_opened_for_writing(trace: str) -> Iterator[str]:
    """Yield the paths of the files that were opened for writing."""
    for found in OPENAT_CALL.finditer(trace):
        if {"O_WRONLY", "O_RDWR", "O_CREAT"} & set(found["flags"].split("|")):
            yield found["path"]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capsys) -> Iterator[Program]:
    """Yield the program with a new device and a recording stamp authority."""
    make_vaults_open_quickly(monkeypatch)
    local, requests = LocalStampAuthority(tmp_path / "tsa"), list[bytes]()
    local.prepare()
    handler = type("Ours", (RecordingStampAuthority,), {"authority": local, "requests": requests})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    url = f"http://127.0.0.1:{server.server_address[1]}/"
    started = Program(tmp_path, url, local.ca.read_text(), capsys)
    started.requests = requests
    started.run_command("setup", "--name", "ana", "--offline")
    yield started
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """Return the path of a JPEG with random pixels and known EXIF data."""
    pixels = np.random.default_rng(26).integers(0, 256, (96, 128, 3), np.uint8)
    exif = Image.Exif()
    exif[0x010E] = EXIF_DESCRIPTION
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "JPEG", quality=92, exif=exif)
    file = tmp_path / "holiday.jpg"
    file.write_bytes(data.getvalue())
    assert EXIF_DESCRIPTION.encode() in data.getvalue()
    return file


def byte_windows(data: bytes) -> set[bytes]:
    return {data[at : at + WINDOW_BYTES] for at in range(max(len(data) - WINDOW_BYTES, 0) + 1)}


def contains_any(contents: bytes, wanted: set[bytes]) -> bool:
    return any(
        contents[at : at + WINDOW_BYTES] in wanted for at in range(len(contents) - WINDOW_BYTES + 1)
    )


def test_picture_leaks_nowhere_during_a_whole_case(program: Program, picture: Path) -> None:
    key = pyrage.x25519.Identity.generate()
    out = ("--out", str(program.out))
    opened = program.run_command(
        *("case", "open", "--adults", "--place", "US", "--intimate", "--json")
    )
    name = str(opened["case"])
    program.run_traced_command(
        "case", "add", name, str(picture), "--url", "-", "--json", typed=PAGE_URL
    )
    program.run_traced_command("case", "add", name, "--statement", "-", "--json", typed=STATEMENT)
    program.run_traced_command("evidence", "stamp", name)
    program.run_command("law", "routes", name)
    letter = program.run_traced_command(
        "case", "notice", name, "--route", "us-tida-removal", "--json"
    )
    program.run_command("case", "notice", name, "--sent", "1")
    program.run_traced_command("evidence", "pack", name, "--for", "platform", *out)
    program.run_traced_command(
        "evidence", "pack", name, "--for", "court", "--to", str(key.to_public()), *out
    )
    for command in (("case", "show", name), ("case", "list"), ("evidence", "verify", name)):
        program.run_command(*command)
        program.run_command(*command, "--json")
    program.run_traced_command("evidence", "verify", name)

    picture_bytes = byte_windows(picture.read_bytes()) | byte_windows(EXIF_DESCRIPTION.encode())
    secret = picture_bytes | byte_windows(sha256(picture.read_bytes()).digest())
    secret |= byte_windows(sha256(picture.read_bytes()).hexdigest().encode()) | byte_windows(
        STATEMENT.encode()
    )
    url = byte_windows(PAGE_URL.encode())
    assert not contains_any(program.output, secret), "printed"
    assert PAGE_URL.encode() in letter["letter"].encode()
    assert not contains_any(letter["letter"].encode(), secret), "letter"
    (traffic,) = program.requests
    assert not contains_any(traffic, secret | url), "traffic"
    for file, contents in program.file_contents().items():
        assert not contains_any(contents, secret | url), file
    for pack in program.out.iterdir():
        assert not contains_any(pack.read_bytes(), secret), pack
    assert len(list(program.out.iterdir())) == 2

    sealed = [file for file in program.home.joinpath("files").iterdir() if file.is_file()]
    assert sealed
    ciphertext = byte_windows(
        b"".join(one.read_bytes().partition(b"-> X25519 ")[2] for one in sealed)
    )
    program.run_traced_command(
        "case", "erase", name, "--yes", "--receipt", str(program.out / "erased.json")
    )
    for file, contents in program.file_contents().items():
        assert not contains_any(contents, secret | url | ciphertext), file
    receipt = json.loads((program.out / "erased.json").read_bytes())
    assert set(receipt) == {"schema", "erased_at", "number"}
    assert not contains_any((program.out / "erased.json").read_bytes(), secret | url)
    own_folders = (str(program.home), str(program.out), str(program.temporary), "/dev/")
    elsewhere = [one for one in program.written_paths if not one.startswith(own_folders)]
    assert elsewhere == [], "files written elsewhere"
    assert list(program.temporary.rglob("*")) == [], "temporary files that stayed"


@pytest.mark.threat("under-eighteen")
def test_no_file_changes_after_the_answer_under_18(program: Program, picture: Path) -> None:
    run = program.run_command
    name = str(run("case", "open", "--adults", "--json")["case"])
    run("case", "about", name, "--under-18", status=3)
    before = program.file_contents()
    run("case", "open", "--under-18", status=3)
    run("case", "open", typed="no\n", status=2)
    for command in (
        ("case", "add", name, str(picture)),
        ("case", "add", name, "--url", PAGE_URL),
        ("case", "add", name, "--statement", STATEMENT),
        ("case", "about", name, "--under-18"),
        ("case", "notice", name, "--route", "us-tida-removal"),
        ("evidence", "stamp", name),
        ("evidence", "pack", name, "--for", "platform", "--out", str(program.out)),
        (
            "evidence",
            "pack",
            name,
            "--for",
            "court",
            "--to",
            new_public_key(),
            "--out",
            str(program.out),
        ),
        ("law", "routes", name),
    ):
        run(*command, status=3)
        assert program.file_contents() == before, command
    assert program.requests == []
    assert not program.out.exists()
    assert not contains_any(program.output, byte_windows(picture.read_bytes()))


def new_public_key() -> str:
    return str(pyrage.x25519.Identity.generate().to_public())


def test_strace_reports_a_file_that_is_opened_for_writing(tmp_path: Path) -> None:
    """``Program.written_paths`` relies on these reports."""
    file = tmp_path / secrets.token_hex(8)
    trace = tmp_path / "trace"
    write = f"open({str(file)!r}, 'w').write('x')"
    subprocess.run([*STRACE_COMMAND, str(trace), sys.executable, "-c", write], check=True)
    assert str(file) in set(paths_opened_for_writing(trace.read_text()))
