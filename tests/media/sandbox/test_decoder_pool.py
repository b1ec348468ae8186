"""Tests of the pool of forked decoders: results, confinement, failures and replacement."""

import io
import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from entrenous.base.errors import EntrenousError
from entrenous.base.picture import (
    DecoderDidNotStart,
    IncompletePicture,
    NotAPicture,
    PictureDecodingFailed,
    PictureFormat,
)
from entrenous.media.picture_reader import read_picture
from entrenous.media.sandbox.confinement import Limits
from entrenous.media.sandbox.decoder_pool import DecoderPool, ForkServer
from entrenous.media.sandbox.decoders import PictureDecoder

pytestmark = pytest.mark.real

PictureFiles = dict[str, bytes]
FORK_SERVER_COMMAND = (sys.executable, "-I", "-B", "-m", "entrenous.media.sandbox.fork_server")
MEMORY_AND_CPU_LIMITS = (str(2 << 30), "20")
FAKE_CHILD_SERVER_CODE = """
import os, socket, sys, time
from entrenous.media.sandbox import fork_server as forks
from entrenous.media.sandbox import picture_child as child
real = child.answer_request
child.answer_request = lambda data, px, luma: iter([({code})])
forks.main(1 << 31, 20, forks.PictureFormat(sys.argv[3]))
"""


def pool_with_fake_children(
    code: str, *, wall_s: float = 10.0, pictures_per_child: int = 1
) -> DecoderPool:
    """Return a pool whose children answer with the value of the expression ``code``."""
    command = (sys.executable, "-c", FAKE_CHILD_SERVER_CODE.replace("{code}", code))
    limits = Limits(wall_s=wall_s)
    return DecoderPool(limits=limits, pictures_per_child=pictures_per_child, command=command)


@pytest.fixture(scope="module")
def decoder_pool() -> Iterator[DecoderPool]:
    with DecoderPool() as made:
        yield made


@pytest.mark.parametrize("kind", PictureFormat)
def test_pool_decodes_every_format_as_in_process(
    kind: PictureFormat, picture_files: PictureFiles, decoder_pool: DecoderPool
) -> None:
    for _ in range(2):
        assert decoder_pool.read(picture_files[kind]) == read_picture(picture_files[kind])


def test_child_errors_are_raised_and_the_next_picture_is_read(
    picture_files: PictureFiles, decoder_pool: DecoderPool
) -> None:
    with pytest.raises(NotAPicture):
        decoder_pool.read(b"hello")
    with pytest.raises(IncompletePicture):
        decoder_pool.read(picture_files["jpeg"][:-400])
    assert decoder_pool.read(picture_files["jpeg"]) == read_picture(picture_files["jpeg"])


def test_concurrent_answers_are_not_mixed_up(
    picture_files: PictureFiles, decoder_pool: DecoderPool
) -> None:
    wanted = [picture_files["jpeg"], picture_files["png"]] * 6
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(decoder_pool.read, wanted)) == [read_picture(one) for one in wanted]


@pytest.mark.skipif(sys.platform != "linux", reason="the confinement exists only on Linux")
def test_each_forked_child_is_new_and_equally_confined() -> None:
    with PictureDecoder(kinds=(PictureFormat.JPEG,)) as decoder:
        confinement = decoder.confinement
    server, seen = ForkServer((*FORK_SERVER_COMMAND, *MEMORY_AND_CPU_LIMITS, "jpeg")), set[int]()
    try:
        for _ in range(2):
            assert server.ready_child(10.0).confinement == confinement
            (pid,) = child_pids(server)
            assert open_descriptors(pid) <= {"0", "1", "2"}
            assert pid not in seen
            seen.add(pid)
    finally:
        server.end()
    assert not any(Path(f"/proc/{pid}").exists() for pid in seen)


def child_pids(server: ForkServer) -> list[int]:
    pid = server._process.pid
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def open_descriptors(pid: int) -> set[str]:
    return {one.name for one in Path(f"/proc/{pid}/fd").iterdir()}


@pytest.mark.parametrize(
    "code",
    [
        "os._exit(1)",
        "b'rubbish' * 1000",
        "b'P' + bytes(40)",
        "os.kill(os.getpid(), 9)",
    ],
)
def test_dead_child_or_invalid_answer_raises_picture_decoding_failed(
    code: str, picture_files: PictureFiles
) -> None:
    with pool_with_fake_children(code) as decoder_pool, pytest.raises(PictureDecodingFailed):
        decoder_pool.read(picture_files["jpeg"])


def test_child_that_never_answers_times_out(picture_files: PictureFiles) -> None:
    code = "time.sleep(600) if data[-1:] == b'!' else b''.join(real(data, px, luma=luma))"
    with pool_with_fake_children(code, wall_s=120.0) as decoder_pool:
        decoder_pool.read(picture_files["jpeg"])  # starts the server, which may take long
        decoder_pool._limits = Limits(wall_s=1.5)
        began_s = time.monotonic()
        with pytest.raises(PictureDecodingFailed):
            decoder_pool.read(picture_files["jpeg"] + b"!")
    assert time.monotonic() - began_s < 120.0


def test_left_over_answer_is_never_used_for_another_picture(picture_files: PictureFiles) -> None:
    """Each child sends a failure and then surplus bytes, which must not answer the next request."""
    with pool_with_fake_children("b'NP' + bytes(40)") as decoder_pool:
        for _ in range(3):
            with pytest.raises(NotAPicture):
                decoder_pool.read(picture_files["jpeg"])


@pytest.mark.skipif(sys.platform != "linux", reason="children are counted in /proc")
def test_child_is_replaced_after_pictures_per_child(picture_files: PictureFiles) -> None:
    with DecoderPool(pictures_per_child=3) as decoder_pool:
        asked = []
        for _ in range(7):
            decoder_pool.read(picture_files["jpeg"])
            (server,) = decoder_pool._idle[PictureFormat.JPEG]
            asked += child_pids(server)
    assert [asked.count(pid) for pid in dict.fromkeys(asked)] == [3, 3, 1]


def test_reused_child_gives_the_same_answers_as_new_children(picture_files: PictureFiles) -> None:
    """Memory left by an earlier picture must not appear in later answers."""
    inputs = [
        picture_files["jpeg"],
        picture_files["jpeg"][: len(picture_files["jpeg"]) // 2] + b"\xff\xd9",
    ]
    with DecoderPool(pictures_per_child=100) as reusing, DecoderPool() as forking:
        for data in (picture_files["jpeg"], *inputs, *inputs):
            assert picture_or_error_type(reusing, data) == picture_or_error_type(forking, data)


def picture_or_error_type(decoder_pool: DecoderPool, data: bytes) -> object:
    try:
        return decoder_pool.read(data, at_least_px=64, luma=True)
    except EntrenousError as error:
        return type(error)


@pytest.mark.skipif(sys.platform != "linux", reason="children are counted in /proc")
@pytest.mark.threat("decoder-attack")
def test_decoder_process_ends_after_a_damaged_file(picture_files: PictureFiles) -> None:
    with DecoderPool(pictures_per_child=100) as decoder_pool:
        seen = set()
        for data in (picture_files["jpeg"], picture_files["jpeg"][:-400], picture_files["jpeg"]):
            picture_or_error_type(decoder_pool, data)
            (server,) = decoder_pool._idle[PictureFormat.JPEG]
            seen |= set(child_pids(server))
            served = server.served
    assert len(seen) == served == 2


def test_child_of_a_large_picture_is_not_reused() -> None:
    made = io.BytesIO()
    Image.new("L", (4200, 4100)).save(made, "PNG")
    with DecoderPool(pictures_per_child=100) as decoder_pool:
        for served in (1, 2):
            decoder_pool.read(made.getvalue())
            (server,) = decoder_pool._idle[PictureFormat.PNG]
            assert server.served == served


def test_child_that_writes_unasked_is_not_reused(picture_files: PictureFiles) -> None:
    """The surplus bytes after an answer must never be read as the next answer."""
    code = "b''.join(real(data, px, luma=luma)) + b'N' * 40"
    picture = read_picture(picture_files["jpeg"])
    with pool_with_fake_children(code, pictures_per_child=100) as decoder_pool:
        for _ in range(3):
            assert decoder_pool.read(picture_files["jpeg"]) == picture
        (server,) = decoder_pool._idle[PictureFormat.JPEG]
        assert server.served == 3


@pytest.mark.skipif(sys.platform != "linux", reason="children are counted in /proc")
def test_child_dying_between_pictures_loses_no_picture(picture_files: PictureFiles) -> None:
    with DecoderPool(pictures_per_child=100) as decoder_pool:
        picture = decoder_pool.read(picture_files["jpeg"])
        (server,) = decoder_pool._idle[PictureFormat.JPEG]
        (pid,) = child_pids(server)
        os.kill(pid, signal.SIGKILL)
        ended = Path(f"/proc/{pid}/stat")
        while ") Z " not in ended.read_text():  # until the killed child is a zombie
            time.sleep(0.01)
        assert decoder_pool.read(picture_files["jpeg"]) == picture


def test_server_that_cannot_start_raises_decoder_did_not_start(picture_files: PictureFiles) -> None:
    for command in (("/no/such/program",), (sys.executable, "-c", "0")):
        with DecoderPool(command=command) as decoder_pool, pytest.raises(DecoderDidNotStart):
            decoder_pool.read(picture_files["jpeg"])


def test_server_is_replaced_after_children_max_and_ends_with_the_pool(
    picture_files: PictureFiles,
) -> None:
    with DecoderPool(children_max=2) as decoder_pool:
        for _ in range(3):
            decoder_pool.read(picture_files["jpeg"])
        (server,) = decoder_pool._idle[PictureFormat.JPEG]
        assert server.served == 1
        pid = server._process.pid
    assert not Path(f"/proc/{pid}").exists() or sys.platform != "linux"


def test_server_killed_while_idle_loses_no_picture(picture_files: PictureFiles) -> None:
    with DecoderPool() as decoder_pool:
        picture = decoder_pool.read(picture_files[PictureFormat.JPEG])
        (server,) = decoder_pool._idle[PictureFormat.JPEG]
        os.kill(server._process.pid, signal.SIGKILL)
        server._process.wait(120)
        assert decoder_pool.read(picture_files[PictureFormat.JPEG]) == picture
