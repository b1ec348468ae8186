"""Tests of decoding pictures in a sandboxed child: results, failures, limits, confinement."""

import os
import platform
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from entrenous.base.errors import Malformed
from entrenous.base.picture import (
    DecoderDidNotStart,
    IncompletePicture,
    NotAPicture,
    PictureDecodingFailed,
    PictureFormat,
    TooManyPixels,
)
from entrenous.media.picture_reader import read_picture
from entrenous.media.sandbox.confinement import Confinement, Limits
from entrenous.media.sandbox.decoders import PictureDecoder, decode_picture_untrusted

pytestmark = pytest.mark.real

PictureFiles = dict[str, bytes]
EncodeImage = Callable[..., bytes]
READY_CODE = "import os, sys, time; os.write(1, b'R\\x01'); "
IS_SUPPORTED_LINUX = platform.system() == "Linux" and platform.machine() in ("x86_64", "aarch64")


def decoder_with_fake_child(code: str, *, wall_s: float = 10.0) -> PictureDecoder:
    """Return a decoder whose child runs ``code`` instead of decoding."""
    return PictureDecoder(
        limits=Limits(wall_s=wall_s), command=(sys.executable, "-I", "-c", READY_CODE + code)
    )


def test_every_file_decodes_as_in_process(picture_files: PictureFiles) -> None:
    with PictureDecoder() as decoder:
        for data in picture_files.values():
            assert decoder.read(data) == read_picture(data)


@pytest.mark.parametrize("kind", PictureFormat)
def test_single_picture_decodes_as_in_process(
    kind: PictureFormat, picture_files: PictureFiles
) -> None:
    assert decode_picture_untrusted(picture_files[kind]) == read_picture(picture_files[kind])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_modules_that_pillow_imports_late_are_available_in_the_sandbox(
    kind: str, photo: Image.Image, encode_image: EncodeImage
) -> None:
    """No module can be imported in the sandbox, yet orientation and profiles must work there."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "maker"
    image = photo.convert("CMYK") if kind == "JPEG" else photo
    data = encode_image(image, kind, exif=exif.tobytes(), icc_profile=b"x" * 300)
    assert decode_picture_untrusted(data) == read_picture(data)


def test_child_errors_are_raised_in_the_parent(picture_files: PictureFiles) -> None:
    with PictureDecoder() as decoder:
        with pytest.raises(NotAPicture):
            decoder.read(b"hello")
        with pytest.raises(NotAPicture):
            decoder.read(b"GIF89a")
        with pytest.raises(NotAPicture):
            PictureDecoder(kinds=(PictureFormat.PNG,)).read(picture_files["jpeg"])
        with pytest.raises(IncompletePicture):
            decoder.read(picture_files["jpeg"][:-400])
        huge = bytearray(picture_files["gif"])
        huge[6:10] = b"\xff\xff\xff\xff"
        with pytest.raises(TooManyPixels, match="65535 x 65535"):
            decoder.read(bytes(huge))
        assert decoder.read(picture_files["png"]) == read_picture(picture_files["png"])


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_damaged_file_gives_the_same_result_in_and_outside_the_sandbox(
    picture_files: PictureFiles, running_decoder: PictureDecoder, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(picture_files)))
    damaged = bytearray(picture_files[name])
    places = st.integers(0, len(damaged) - 1)
    for at, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=5)):
        damaged[at] = value
    assert picture_or_error_type(running_decoder.read, bytes(damaged)) == picture_or_error_type(
        read_picture, bytes(damaged)
    )


@pytest.fixture(scope="module")
def running_decoder() -> Iterator[PictureDecoder]:
    with PictureDecoder() as decoder:
        yield decoder


def picture_or_error_type(read: Callable[[bytes], object], data: bytes) -> object:
    try:
        return read(data)
    except Malformed as error:
        return type(error)


@pytest.mark.parametrize(
    "code",
    [
        "",  # the child ends after its ready message
        "os.read(0, 9); os._exit(1)",
        "os.kill(os.getpid(), 9)",
        "os.write(1, b'rubbish' * 1000); time.sleep(60)",
        "os.write(1, b'P' + bytes(40)); time.sleep(60)",
        "os.read(0, 1 << 20); os.write(1, b'P\\0\\0\\0\\1')",
        "import ctypes; ctypes.string_at(0)",
    ],
)
def test_dead_child_or_invalid_answer_raises_picture_decoding_failed(
    code: str, picture_files: PictureFiles
) -> None:
    with (
        decoder_with_fake_child(code) as decoder,
        pytest.raises(PictureDecodingFailed, match="could not read this picture"),
    ):
        decoder.read(picture_files["jpeg"])


SILENT_CHILD_CODES = (
    "time.sleep(600)",  # the child neither reads nor answers
    "os.read(0, 1 << 20); time.sleep(600)",
    "[(os.write(1, b'R\\x01'), time.sleep(600)) for _ in 'ab']",
    "os.read(0, 1 << 20); os.fork() or time.sleep(600); time.sleep(600)",
)


def test_children_that_never_answer_time_out() -> None:
    def read(code: str) -> None:
        data = b"\xff\xd8\xff" + bytes(3_000_000)  # more bytes than fit into a pipe
        with (
            decoder_with_fake_child(code, wall_s=1.5) as decoder,
            pytest.raises(PictureDecodingFailed),
        ):
            decoder.read(data)

    began_s = time.monotonic()
    with ThreadPoolExecutor(len(SILENT_CHILD_CODES)) as all_at_once:
        list(all_at_once.map(read, SILENT_CHILD_CODES))
    assert time.monotonic() - began_s < 120.0


def test_endless_answer_is_read_no_further_than_announced(picture_files: PictureFiles) -> None:
    """The child announces the largest allowed picture and then writes without end."""
    code = (
        "os.read(0, 1 << 20); os.write(1, b'P' + (10000).to_bytes(4) + (12000).to_bytes(4)"
        " + bytes([0, 0, 0, 0, 0, 0]) + bytes(4))\nwhile True: os.write(1, bytes(1 << 20))"
    )
    with decoder_with_fake_child(code, wall_s=20.0) as decoder:
        assert decoder.read(picture_files["jpeg"]).pixel_count == 120_000_000
        with pytest.raises(PictureDecodingFailed):
            # The first child wrote too many bytes, so the decoder replaces it. The new child
            # announces a JPEG instead of the PNG.
            decoder.read(picture_files["png"])


def test_killed_child_is_replaced(picture_files: PictureFiles) -> None:
    with PictureDecoder() as decoder:
        first = decoder._child
        assert first is not None
        first._process.kill()
        first._process.wait()
        assert decoder.read(picture_files["png"]) == read_picture(picture_files["png"])
        assert decoder._child is not first


def test_child_is_replaced_after_pictures_per_child(picture_files: PictureFiles) -> None:
    with PictureDecoder(kinds=(PictureFormat.PNG,), pictures_per_child=2) as decoder:
        children = []
        for _ in range(4):
            decoder.read(picture_files["png"])
            children.append(decoder._child)
    assert children[0] is children[1]
    assert children[1] is not children[2]


def test_closing_the_decoder_ends_its_child(picture_files: PictureFiles) -> None:
    with PictureDecoder() as decoder:
        decoder.read(picture_files["png"])
        assert decoder._child is not None
        process = decoder._child._process
    assert process.returncode is not None


@pytest.mark.parametrize("code", ["import sys; sys.exit(1)", "print('hello')"])
def test_child_that_cannot_start_raises_decoder_did_not_start(
    code: str, picture_files: PictureFiles
) -> None:
    with pytest.raises(DecoderDidNotStart, match="did not start"):
        PictureDecoder(command=(sys.executable, "-I", "-c", code)).read(picture_files["png"])
    with pytest.raises(DecoderDidNotStart):
        PictureDecoder(command=("/nonexistent/python",)).read(picture_files["png"])


def test_picture_that_exceeds_the_memory_limit_cannot_be_decoded(
    photo: Image.Image, encode_image: EncodeImage
) -> None:
    data = encode_image(photo.resize((4000, 3000)), "PNG", compress_level=1)
    with pytest.raises(PictureDecodingFailed):
        decode_picture_untrusted(data, limits=Limits(memory_bytes=60 << 20))


def test_decompression_bomb_is_refused_with_little_memory_and_time() -> None:
    began_s = sum(os.times()[:4])  # processor time of this process and its children
    head = b"\0\0\xc3\x50\0\0\xc3\x50\x08\2\0\0\0"

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    data = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(10**6), 9))
    )
    with pytest.raises(TooManyPixels):
        decode_picture_untrusted(data + chunk(b"IEND", b""), limits=Limits(memory_bytes=100 << 20))
    assert sum(os.times()[:4]) - began_s < 10.0


@pytest.mark.skipif(
    not IS_SUPPORTED_LINUX, reason="the seccomp filter needs Linux on x86_64 or aarch64"
)
def test_limits_privileges_and_system_calls_are_restricted() -> None:
    with PictureDecoder(kinds=(PictureFormat.JPEG,)) as decoder:
        assert (
            decoder.confinement
            & (Confinement.LIMITS | Confinement.NO_NEW_PRIVILEGES | Confinement.SYSTEM_CALLS)
            == 11
        )


ESCAPE_ATTEMPTS = {
    "read a file": "open('/etc/passwd')",
    "write a file": "open(sys.argv[1] + '/escaped', 'w')",
    "list a folder": "os.listdir('/')",
    "see a file": "os.stat('/etc/passwd')",
    "remove a file": "os.unlink(sys.argv[1] + '/victim')",
    "run a program": "os.execv('/bin/true', ['true'])",
    "start a process": "os.fork()",
    "open a socket": "socket.socket()",
    "open a pipe": "os.pipe()",
    "signal somebody": "os.kill(os.getppid(), 0)",
    "make code": "mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC)",
    "raise its limits": "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))",
}


@pytest.mark.threat("decoder-attack")
@pytest.mark.skipif(
    not IS_SUPPORTED_LINUX, reason="the seccomp filter needs Linux on x86_64 or aarch64"
)
@pytest.mark.parametrize("threads", [False, True])
def test_confined_process_is_denied_every_escape_attempt(tmp_path: Path, *, threads: bool) -> None:
    (tmp_path / "victim").write_text("still here")
    code = (
        "import mmap, os, resource, socket, sys\n"
        "from entrenous.media.sandbox.confinement import confine_process\n"
        f"confine_process(memory_bytes=1 << 30, cpu_s=5, threads={threads})\n"
        f"for name, attempt in {ESCAPE_ATTEMPTS!r}.items():\n"
        "  try: exec(attempt)\n"
        "  except (OSError, ValueError): os.write(1, name.encode() + b'\\n')\n"
        "os._exit(7)"
    )
    done = subprocess.run(
        (sys.executable, "-I", "-c", code, str(tmp_path)),
        check=False,
        env={},
        stdout=subprocess.PIPE,
        timeout=120,
    )
    assert done.stdout.decode().splitlines() == list(ESCAPE_ATTEMPTS)
    assert done.returncode == 7
    assert [path.name for path in tmp_path.iterdir()] == ["victim"]


@pytest.mark.threat("decoder-attack")
def test_the_child_sees_nothing_of_its_parent(
    picture_files: PictureFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child gets neither the parent's environment nor its working folder and open files."""
    monkeypatch.setenv("ENTRENOUS_PASSPHRASE", "hunter2")
    with Path(os.devnull).open() as _, PictureDecoder(kinds=(PictureFormat.PNG,)) as decoder:
        decoder.read(picture_files["png"])
        assert decoder._child is not None
        process = Path("/proc") / str(decoder._child._process.pid)
        if not process.is_dir():
            pytest.skip("this system has no /proc")
        # Only privileged readers may read these files of the process (PR_SET_DUMPABLE).
        try:
            environment = set((process / "environ").read_bytes().split(b"\0"))
            assert environment <= {b"OPENBLAS_NUM_THREADS=1", b"LC_CTYPE=C.UTF-8", b""}
            assert (process / "cwd").readlink() == Path("/")
            assert sorted(path.name for path in (process / "fd").iterdir()) == ["0", "1", "2", "3"]
        except PermissionError:
            pytest.skip("this user may not read the files of a confined process")
