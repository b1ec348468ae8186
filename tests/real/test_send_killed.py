"""A command is killed in the middle of an upload; the next command continues the upload.

Real commands with a real vault send to a real relay. A proxy between them stops forwarding at half
of the upload, and the command is killed then.
"""

import io
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.real.counting import CountingProxy
from tests.real.processes import Server, Shell, wait_until

pytestmark = pytest.mark.real

#: About half the size of the encrypted copy of ``noise_jpeg``. The test checks this proportion.
HALF_COPY_BYTES = 1_870_000


def noise_jpeg() -> bytes:
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
def proxy(relay: Server) -> Iterator[CountingProxy]:
    host, _, port = relay.url.removeprefix("http://").partition(":")
    counting_proxy = CountingProxy((host, int(port)))
    threading.Thread(target=counting_proxy.serve, daemon=True).start()
    yield counting_proxy
    counting_proxy.cut.set()
    counting_proxy.listener.close()


def largest_blob_bytes(relay: Server) -> int:
    """Return the size of the largest blob at a relay, complete or not, in bytes."""
    return max((file.stat().st_size for file in (relay.folder / "blobs").iterdir()), default=0)


def test_upload_killed_at_half_only_sends_the_rest(
    relay: Server, proxy: CountingProxy, tmp_path: Path
) -> None:
    ana, ben = (Shell(name, tmp_path / name) for name in ("ana", "ben"))
    for one in (ana, ben):
        one.run("setup", "--name", one.name, "--relay", proxy.url)
    ana.add_contact(ben)
    picture = tmp_path / "picture.jpg"
    picture.write_bytes(noise_jpeg())
    proxy.sent_bytes_max = proxy.sent_bytes + HALF_COPY_BYTES
    sending = ana.start("send", str(picture), "--to", "ben", "--confirm", "ben", "--json")
    assert proxy.limit_reached.wait(180)
    sending.send_signal(signal.SIGKILL)
    sending.communicate()
    before, proxy.sent_bytes_max = proxy.sent_bytes, None
    proxy.cut.set()
    # The relay has to store the bytes that it received before the connection ended.
    assert wait_until(lambda: largest_blob_bytes(relay) > 0.9 * HALF_COPY_BYTES, 120)
    stored_bytes = largest_blob_bytes(relay)

    assert ana.run("send", "--resume", "--json").answer["left"] == 1
    whole = largest_blob_bytes(relay)
    assert 0.48 < stored_bytes / whole < 0.6, "it was not killed at half"
    assert proxy.sent_bytes - before <= 0.52 * whole
    (name,) = ben.inbox()
    (file,) = ben.run("open", name, "--out", str(tmp_path / "out"), "--json").answer["files"]
    assert Image.open(io.BytesIO(Path(file).read_bytes())).size == (1200, 1200)
