"""Who reads several pictures starts one interpreter; each picture has a child of its own."""

from pathlib import Path

import pytest
import skimage.data

from entrenous.craft.media.jail import decode_untrusted
from entrenous.model.picture import CutShort
from entrenous.wiring.device import for_many_pictures
from tests.stop.room import png
from tests.trace.room import offline_device

_SERVER = "entrenous.craft.media.jailed.forks"


def servers() -> list[int]:
    """Processes that fork decoding children for this one."""
    tasks = Path("/proc/self/task").iterdir()
    children = " ".join((task / "children").read_text() for task in tasks).split()
    said = {int(one): Path(f"/proc/{one}/cmdline").read_bytes() for one in children}
    return [process for process, words in said.items() if _SERVER.encode() in words]


@pytest.mark.real
def test_one_server_reads_all_and_ends_with_the_block() -> None:
    files = [png(skimage.data.coffee()), png(skimage.data.chelsea())]
    before = servers()
    with for_many_pictures(offline_device()) as device:
        assert servers() == before  # nobody waits for it who reads nothing
        assert [device.read_picture(one) for one in files] == [decode_untrusted(o) for o in files]
        with pytest.raises(CutShort):
            device.read_picture(files[0][:-100])
        assert device.read_picture(files[1]) == decode_untrusted(files[1])
        assert len(servers()) == len(before) + 1
    assert servers() == before
