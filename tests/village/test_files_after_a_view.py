"""A view leaves sealed files in the vault's folder, and a recall deletes even those.

The tests compare everything that the program may write to: its own folder, the working directory
and the folder for temporary files.
"""

import secrets
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from entrenous.base.identifiers import RecipientId
from entrenous.base.secret import Secret
from entrenous.device.device import Device
from entrenous.device.store.ledger import VaultLedger
from entrenous.device.store.sqlcipher_vault import SqlcipherVault
from entrenous.media.picture_reader import read_picture
from entrenous.send.fetch import fetch_messages
from entrenous.send.inbox import received_messages
from entrenous.send.letter.letter_nouns import ContentFile, FileRole
from entrenous.send.message.draft import Draft, MessagePolicy
from entrenous.send.open import open_message
from entrenous.send.people.invite import add_person, make_invite_link
from entrenous.send.recall import recall_message
from entrenous.send.send import send_message
from entrenous.send.set_up import set_up
from tests.deterministic import SeededRandomSource
from tests.village.sealed import send_unmarked
from tests.village.world import RELAY_URL, SingleRelayNetwork, photo

pytestmark = pytest.mark.slow

PIECE_BYTES = 48  # bytes of a file, too many to be in another one by chance


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that contains everything that the program may write to."""
    for name in ("home", "started-in", "temporary"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "started-in")
    monkeypatch.setenv("HOME", str(tmp_path / "started-in"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path


@pytest.fixture
def network() -> SingleRelayNetwork:
    network = SingleRelayNetwork()
    network.set_up_person("ana")
    return network


@pytest.fixture
def ben(network: SingleRelayNetwork, folder: Path) -> Iterator[Device]:
    """Yield Ben's device, whose vault is on disk and whom Ana has added."""
    vault, ana = SqlcipherVault(folder / "home", Secret(b"k" * 32)), network.people["ana"]
    ledger = VaultLedger(vault)
    device = Device(
        network.clock, SeededRandomSource("ben"), vault, ledger, network.courier, read_picture
    )
    set_up("ben", RELAY_URL, device)
    add_person(make_invite_link(device), "ben", ana.device)
    fetch_messages(device)
    fetch_messages(ana.device)
    yield device
    vault.close()


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def names_of_kept_files(folder: Path) -> set[str]:
    """Return the names of all files but the database's, whose journal comes and goes."""
    return {name for name in files(folder) if not name.startswith("home/vault.db")}


def contains_nothing_of(data: bytes, contents: dict[str, bytes]) -> bool:
    """Return whether no piece of ``data`` is in any of these files.

    Only a piece whose first 8 bytes occur somewhere is searched for as a whole, which takes time.
    """
    control = secrets.token_bytes(PIECE_BYTES)  # a piece that the search has to find
    pieces = [data[at : at + PIECE_BYTES] for at in range(0, len(data) - PIECE_BYTES, 499)]
    assert len(pieces) > 20
    everything = b"".join((*contents.values(), control))
    heads = np.unique([np.frombuffer(piece, "<u8", 1)[0] for piece in (*pieces, control)])
    seen = set[bytes]()
    for start in range(8):
        words = np.frombuffer(everything, "<u8", (len(everything) - start) // 8, start)
        nearest = heads[np.searchsorted(heads[:-1], words)]
        seen.update(word.tobytes() for word in words[nearest == words])
    found = [piece for piece in (*pieces, control) if piece[:8] in seen and piece in everything]
    assert control in found
    return found == [control]


@pytest.mark.threat("gallery-auto-save")
def test_a_view_leaves_only_sealed_files_and_a_recall_none(
    network: SingleRelayNetwork, ben: Device, folder: Path
) -> None:
    ana = network.people["ana"].device
    policy = MessagePolicy(network.clock.now() + timedelta(days=1))
    to = (RecipientId("ben"),)
    posted = send_message(Draft((photo(),), to, policy, confirmed=frozenset(to)), ana)
    fetch_messages(ben)
    before = names_of_kept_files(folder)
    (received,) = received_messages(ben)
    (shown,) = open_message(received.name, ben).files

    after = files(folder)
    new = names_of_kept_files(folder) - before
    assert len(new) == 2  # its frame and its picture
    assert {name.split("/")[0] for name in after} == {"home"}
    assert contains_nothing_of(shown.data, after)

    recall_message(posted.name, ana)
    fetch_messages(ben)
    assert names_of_kept_files(folder) == before


KINDS = {
    "picture": ContentFile("image/jpeg", secrets.token_bytes(50_000), FileRole.PICTURE),
    "clip": ContentFile("video/mp4", secrets.token_bytes(3_000_000), FileRole.CLIP),
    "voice": ContentFile("audio/ogg", secrets.token_bytes(200_000), FileRole.VOICE),
}


@pytest.mark.threat("gallery-auto-save")
@pytest.mark.threat("view-once-bypass")
@pytest.mark.parametrize("kind", KINDS)
def test_what_opens_once_leaves_no_file_at_all(
    network: SingleRelayNetwork, ben: Device, folder: Path, kind: str
) -> None:
    """Not even a sealed file, and the message's record has no key any more."""
    sent, ana = KINDS[kind], network.people["ana"].device
    policy = MessagePolicy(network.clock.now() + timedelta(days=1), opens=1)
    send_unmarked((sent,), "only for your eyes", policy, "ben", ana)
    fetch_messages(ben)
    (received,) = received_messages(ben)
    before = names_of_kept_files(folder)
    content = open_message(received.name, ben)
    assert (content.files, content.caption) == ((sent,), "only for your eyes")

    after = files(folder)
    assert names_of_kept_files(folder) == before
    assert {name.split("/")[0] for name in after} == {"home"}
    assert contains_nothing_of(sent.data, after)
    (last,) = received_messages(ben)
    assert (last.manifest, last.key, last.text, last.attempt) == (None, None, None, None)


@pytest.mark.threat("gallery-auto-save")
@pytest.mark.parametrize("kind", KINDS)
def test_what_may_be_opened_again_stays_sealed(
    network: SingleRelayNetwork, ben: Device, folder: Path, kind: str
) -> None:
    sent, ana = KINDS[kind], network.people["ana"].device
    policy = MessagePolicy(network.clock.now() + timedelta(days=1))
    send_unmarked((sent,), None, policy, "ben", ana)
    fetch_messages(ben)
    (received,) = received_messages(ben)
    before = names_of_kept_files(folder)
    for _ in range(2):
        assert open_message(received.name, ben).files == (sent,)
        assert len(names_of_kept_files(folder) - before) == 2
        assert contains_nothing_of(sent.data, files(folder))
    network.clock.advance(days=2)
    received_messages(ben)
    assert names_of_kept_files(folder) == before
