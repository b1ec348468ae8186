"""Forked, equally confined child processes decode many untrusted pictures."""

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

Files = dict[str, bytes]
SERVER = (sys.executable, "-I", "-B", "-m", "entrenous.media.sandbox.fork_server")
LIMITS = (str(2 << 30), "20")
FORKS = """
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
    """Return a pool whose children send the value of ``code`` instead of decoding."""
    command = (sys.executable, "-c", FORKS.replace("{code}", code))
    limits = Limits(wall_s=wall_s)
    return DecoderPool(limits=limits, pictures_per_child=pictures_per_child, command=command)


@pytest.fixture(scope="module")
def decoder_pool() -> Iterator[DecoderPool]:
    with DecoderPool() as made:
        yield made


@pytest.mark.parametrize("kind", PictureFormat)
def test_every_file_decodes_as_without_a_sandbox(
    kind: PictureFormat, files: Files, decoder_pool: DecoderPool
) -> None:
    for _ in range(2):
        assert decoder_pool.read(files[kind]) == read_picture(files[kind])


def test_child_errors_are_raised_and_the_next_picture_is_read(
    files: Files, decoder_pool: DecoderPool
) -> None:
    with pytest.raises(NotAPicture):
        decoder_pool.read(b"hello")
    with pytest.raises(IncompletePicture):
        decoder_pool.read(files["jpeg"][:-400])
    assert decoder_pool.read(files["jpeg"]) == read_picture(files["jpeg"])


def test_concurrent_answers_are_not_mixed_up(files: Files, decoder_pool: DecoderPool) -> None:
    wanted = [files["jpeg"], files["png"]] * 6
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(decoder_pool.read, wanted)) == [read_picture(one) for one in wanted]


@pytest.mark.skipif(sys.platform != "linux", reason="the walls are Linux's")
def test_each_forked_child_is_new_and_equally_confined() -> None:
    with PictureDecoder(kinds=(PictureFormat.JPEG,)) as decoder:
        confinement = decoder.confinement
    server, seen = ForkServer((*SERVER, *LIMITS, "jpeg")), set[int]()
    try:
        for _ in range(2):
            assert server.ready_child(10.0).confinement == confinement
            (pid,) = children(server)
            assert descriptors(pid) <= {"0", "1", "2"}
            assert pid not in seen
            seen.add(pid)
    finally:
        server.end()
    assert not any(Path(f"/proc/{pid}").exists() for pid in seen)


def children(server: ForkServer) -> list[int]:
    pid = server._process.pid
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def descriptors(pid: int) -> set[str]:
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
def test_dead_or_invalid_child_raises_decoder_gave_up(code: str, files: Files) -> None:
    with pool_with_fake_children(code) as decoder_pool, pytest.raises(PictureDecodingFailed):
        decoder_pool.read(files["jpeg"])


def test_a_child_that_never_answers_is_ended_in_time(files: Files) -> None:
    code = "time.sleep(600) if data[-1:] == b'!' else b''.join(real(data, px, luma=luma))"
    with pool_with_fake_children(code, wall_s=120.0) as decoder_pool:
        decoder_pool.read(files["jpeg"])  # the server has started, which may take long
        decoder_pool._limits = Limits(wall_s=1.5)
        began_s = time.monotonic()
        with pytest.raises(PictureDecodingFailed):
            decoder_pool.read(files["jpeg"] + b"!")
    assert time.monotonic() - began_s < 120.0


def test_left_over_answer_is_never_used_for_another_picture(files: Files) -> None:
    """The child sends an answer (N) and surplus bytes; the next child has its own pipes."""
    with pool_with_fake_children("b'NP' + bytes(40)") as decoder_pool:
        for _ in range(3):
            with pytest.raises(NotAPicture):
                decoder_pool.read(files["jpeg"])


@pytest.mark.skipif(sys.platform != "linux", reason="children are counted in /proc")
def test_reused_child_serves_its_share_and_no_more(files: Files) -> None:
    with DecoderPool(pictures_per_child=3) as decoder_pool:
        asked = []
        for _ in range(7):
            decoder_pool.read(files["jpeg"])
            (server,) = decoder_pool._idle[PictureFormat.JPEG]
            asked += children(server)
    assert [asked.count(pid) for pid in dict.fromkeys(asked)] == [3, 3, 1]


def test_one_child_gives_the_same_answers_as_many(files: Files) -> None:
    """Memory left by an earlier picture must not appear in later ones."""
    cuts = [files["jpeg"], files["jpeg"][: len(files["jpeg"]) // 2] + b"\xff\xd9"]
    with DecoderPool(pictures_per_child=100) as kept, DecoderPool() as fresh:
        for data in (files["jpeg"], *cuts, *cuts):
            assert outcome(kept, data) == outcome(fresh, data)


def outcome(decoder_pool: DecoderPool, data: bytes) -> object:
    try:
        return decoder_pool.read(data, at_least_px=64, luma=True)
    except EntrenousError as error:
        return type(error)


@pytest.mark.skipif(sys.platform != "linux", reason="children are counted in /proc")
@pytest.mark.threat("decoder-attack")
def test_decoder_process_ends_after_a_damaged_file(files: Files) -> None:
    with DecoderPool(pictures_per_child=100) as decoder_pool:
        seen = set()
        for data in (files["jpeg"], files["jpeg"][:-400], files["jpeg"]):
            outcome(decoder_pool, data)
            (server,) = decoder_pool._idle[PictureFormat.JPEG]
            seen |= set(children(server))
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


def test_child_that_writes_unasked_is_not_reused(files: Files) -> None:
    """The surplus bytes after its answer must never be taken for an answer."""
    code = "b''.join(real(data, px, luma=luma)) + b'N' * 40"
    picture = read_picture(files["jpeg"])
    with pool_with_fake_children(code, pictures_per_child=100) as decoder_pool:
        for _ in range(3):
            assert decoder_pool.read(files["jpeg"]) == picture
        (server,) = decoder_pool._idle[PictureFormat.JPEG]
        assert server.served == 3


@pytest.mark.skipif(sys.platform != "linux", reason="children are counted in /proc")
def test_child_dying_between_pictures_loses_no_picture(files: Files) -> None:
    with DecoderPool(pictures_per_child=100) as decoder_pool:
        picture = decoder_pool.read(files["jpeg"])
        (server,) = decoder_pool._idle[PictureFormat.JPEG]
        (pid,) = children(server)
        os.kill(pid, signal.SIGKILL)
        ended = Path(f"/proc/{pid}/stat")
        while ") Z " not in ended.read_text():  # not reaped yet, so it is still visible
            time.sleep(0.01)
        assert decoder_pool.read(files["jpeg"]) == picture


def test_server_that_cannot_start_raises_decoder_did_not_start(files: Files) -> None:
    for command in (("/no/such/program",), (sys.executable, "-c", "0")):
        with DecoderPool(command=command) as decoder_pool, pytest.raises(DecoderDidNotStart):
            decoder_pool.read(files["jpeg"])


def test_servers_are_replaced_and_end_when_they_are_closed(files: Files) -> None:
    with DecoderPool(children_max=2) as decoder_pool:
        for _ in range(3):
            decoder_pool.read(files["jpeg"])
        (server,) = decoder_pool._idle[PictureFormat.JPEG]
        assert server.served == 1
        pid = server._process.pid
    assert not Path(f"/proc/{pid}").exists() or sys.platform != "linux"


def test_server_killed_while_idle_loses_no_picture(files: Files) -> None:
    with DecoderPool() as decoder_pool:
        picture = decoder_pool.read(files[PictureFormat.JPEG])
        (server,) = decoder_pool._idle[PictureFormat.JPEG]
        os.kill(server._process.pid, signal.SIGKILL)
        server._process.wait(120)
        assert decoder_pool.read(files[PictureFormat.JPEG]) == picture
