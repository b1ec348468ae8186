"""Test of decoding several pictures in one server process, which then ends."""

from pathlib import Path

import pytest
import skimage.data

from entrenous.base.picture import IncompletePicture
from entrenous.device.open_device import with_fast_picture_decoding
from entrenous.media.sandbox.decoders import decode_picture_untrusted
from tests.stop.platform_for_tests import png
from tests.trace.offline_device import offline_device

_FORK_SERVER_MODULE = "entrenous.media.sandbox.fork_server"


def server_process_ids() -> list[int]:
    """Return the ids of this process's children that run the fork server."""
    tasks = Path("/proc/self/task").iterdir()
    children = " ".join((task / "children").read_text() for task in tasks).split()
    commands = {int(one): Path(f"/proc/{one}/cmdline").read_bytes() for one in children}
    return [
        process for process, command in commands.items() if _FORK_SERVER_MODULE.encode() in command
    ]


@pytest.mark.real
def test_one_decoder_process_reads_all_pictures_and_ends_with_the_block() -> None:
    files = [png(skimage.data.coffee()), png(skimage.data.chelsea())]
    before = server_process_ids()
    with with_fast_picture_decoding(offline_device()) as device:
        assert server_process_ids() == before  # no server is started before the first picture
        assert [device.read_picture(one) for one in files] == [
            decode_picture_untrusted(o) for o in files
        ]
        with pytest.raises(IncompletePicture):
            device.read_picture(files[0][:-100])
        assert device.read_picture(files[1]) == decode_picture_untrusted(files[1])
        assert len(server_process_ids()) == len(before) + 1
    assert server_process_ids() == before
