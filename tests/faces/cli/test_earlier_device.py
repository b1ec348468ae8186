"""A device of version 1 is told how to begin anew, also where what it kept cannot be read yet."""

from pathlib import Path

import pytest

from entrenous.faces.cli.exits import BY_FAMILY, YES
from entrenous.faces.cli.main import run
from entrenous.model.secret import Secret
from entrenous.send.devices.self import ACCOUNT, EARLIER, IDENTITY
from entrenous.send.drawers import SEALED, SELF
from entrenous.settings import Settings
from entrenous.wiring.device import open_device
from tests.faces.cli.test_archive_commands import WORDS, archive, home
from tests.send.sealed_in_1 import copy_of, in_version_1
from tests.village.world import photo

pytestmark = pytest.mark.slow


@pytest.fixture
def name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    """What the message is called that this device of version 1 sent."""
    home(tmp_path, "ana", monkeypatch)
    (tmp_path / "a.jpg").write_bytes(photo(width_px=160))
    marked = ["mark", str(tmp_path / "a.jpg"), "--out", str(tmp_path / "out"), "--to", "ben"]
    assert run(marked, {}) == YES
    with open_device(
        Settings(tmp_path / "ana", 0.0, pause_s=0), lambda: Secret(WORDS.encode())
    ) as device:
        (message,) = device.ledger.messages()
        sealed = in_version_1(copy_of(message.id), acknowledged=True)
        device.vault.put(SEALED, bytes(16).hex(), sealed)
        device.vault.put(SELF, EARLIER, device.vault.get(SELF, IDENTITY) or b"")
        device.vault.put(SELF, ACCOUNT, b"an account of before")
        device.vault.drop(SELF, IDENTITY)
    capsys.readouterr()
    return message.name


def test_it_says_how_to_begin_anew(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "archive"
    for command in (["sent"], ["sent", "--json"], ["recall", name]):
        assert run(command, {}) == BY_FAMILY["refused"]
        assert "entrenous setup --again" in capsys.readouterr().err
    assert archive("export", "--out", str(out)) == BY_FAMILY["refused"]
    assert "entrenous setup --again" in capsys.readouterr().err
    assert list(out.iterdir()) == []
