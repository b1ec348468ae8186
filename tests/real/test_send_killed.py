"""A command is killed in the middle of an upload; the next one continues the upload.

Real commands with a real vault send to a real relay. A proxy between them stops at half, so that
the command is killed just there.
"""

import io
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.real.counting import Counting
from tests.real.stage import Server, Shell, wait_until

pytestmark = pytest.mark.real

#: About half the size of this picture's sealed copy, in bytes; the test checks this.
HALF = 1_870_000


def grain() -> bytes:
    """Return a JPEG of noise, which cannot be compressed much."""
    pixels = np.random.default_rng(7).integers(0, 256, (1200, 1200, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=92)
    return file.getvalue()


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "relay", ("relay", "run"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def way(relay: Server) -> Iterator[Counting]:
    host, _, port = relay.url.removeprefix("http://").partition(":")
    counting = Counting((host, int(port)))
    threading.Thread(target=counting.serve, daemon=True).start()
    yield counting
    counting.cut.set()
    counting.listener.close()


def largest(relay: Server) -> int:
    """Return the size of the largest blob at a relay, complete or not, in bytes."""
    return max((file.stat().st_size for file in (relay.folder / "blobs").iterdir()), default=0)


def test_killed_at_half_of_an_upload_it_sends_the_rest_alone(
    relay: Server, way: Counting, tmp_path: Path
) -> None:
    ana, ben = (Shell(name, tmp_path / name) for name in ("ana", "ben"))
    for one in (ana, ben):
        one.does("setup", "--name", one.name, "--relay", way.url)
    ana.adds(ben)
    picture = tmp_path / "picture.jpg"
    picture.write_bytes(grain())
    way.until = way.went + HALF
    sending = ana.begins("send", str(picture), "--to", "ben", "--confirm", "ben", "--json")
    assert way.full.wait(180)
    sending.send_signal(signal.SIGKILL)
    sending.communicate()
    before, way.until = way.went, None
    way.cut.set()
    assert wait_until(lambda: largest(relay) > 0.9 * HALF, 120)  # the relay has stored it
    came = largest(relay)

    assert ana.does("send", "--resume", "--json").answer["left"] == 1
    whole = largest(relay)
    assert 0.48 < came / whole < 0.6, "it was not killed at half"
    assert way.went - before <= 0.52 * whole
    (name,) = ben.inbox()
    (file,) = ben.does("open", name, "--out", str(tmp_path / "out"), "--json").answer["files"]
    assert Image.open(io.BytesIO(Path(file).read_bytes())).size == (1200, 1200)
