"""Tests of the files that a view leaves in the vault folder, working folder and temporary folder.

A view leaves only sealed files, and a view-once message leaves none. A recall and the expiry of the
message delete these files.
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

PIECE_BYTES = 48  # too many bytes to occur in another file by chance


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with three subfolders: vault folder, working folder, temporary folder."""
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
    """Yield Ben's device, which has its vault on disk; Ana has added Ben as a contact."""
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


def read_all_files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def kept_file_names(folder: Path) -> set[str]:
    """Return the names of all files except the database and its temporary journal."""
    return {name for name in read_all_files(folder) if not name.startswith("home/vault.db")}


def has_no_piece_of(data: bytes, contents: dict[str, bytes]) -> bool:
    """Return whether no sampled piece of ``data`` is in any of these files.

    To save time, the function searches for the first 8 bytes of all pieces at once, and for a whole
    piece only if its first 8 bytes occur.
    """
    control = secrets.token_bytes(PIECE_BYTES)  # a control piece, which the search has to find
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
def test_a_view_leaves_only_sealed_files_and_a_recall_deletes_them(
    network: SingleRelayNetwork, ben: Device, folder: Path
) -> None:
    ana = network.people["ana"].device
    policy = MessagePolicy(network.clock.now() + timedelta(days=1))
    to = (RecipientId("ben"),)
    posted = send_message(Draft((photo(),), to, policy, confirmed=frozenset(to)), ana)
    fetch_messages(ben)
    before = kept_file_names(folder)
    (received,) = received_messages(ben)
    (shown,) = open_message(received.name, ben).files

    after = read_all_files(folder)
    new = kept_file_names(folder) - before
    assert len(new) == 2  # the picture and the message's frame (its list of files and its text)
    assert {name.split("/")[0] for name in after} == {"home"}
    assert has_no_piece_of(shown.data, after)

    recall_message(posted.name, ana)
    fetch_messages(ben)
    assert kept_file_names(folder) == before


CONTENT_BY_KIND = {
    "picture": ContentFile("image/jpeg", secrets.token_bytes(50_000), FileRole.PICTURE),
    "clip": ContentFile("video/mp4", secrets.token_bytes(3_000_000), FileRole.CLIP),
    "voice": ContentFile("audio/ogg", secrets.token_bytes(200_000), FileRole.VOICE),
}


@pytest.mark.threat("gallery-auto-save")
@pytest.mark.threat("view-once-bypass")
@pytest.mark.parametrize("content_kind", CONTENT_BY_KIND)
def test_a_view_once_message_leaves_no_file(
    network: SingleRelayNetwork, ben: Device, folder: Path, content_kind: str
) -> None:
    """The view also removes manifest, key, text and opening attempt from the message record."""
    sent, ana = CONTENT_BY_KIND[content_kind], network.people["ana"].device
    policy = MessagePolicy(network.clock.now() + timedelta(days=1), opens=1)
    send_unmarked((sent,), "only for your eyes", policy, "ben", ana)
    fetch_messages(ben)
    (received,) = received_messages(ben)
    before = kept_file_names(folder)
    content = open_message(received.name, ben)
    assert (content.files, content.caption) == ((sent,), "only for your eyes")

    after = read_all_files(folder)
    assert kept_file_names(folder) == before
    assert {name.split("/")[0] for name in after} == {"home"}
    assert has_no_piece_of(sent.data, after)
    (last,) = received_messages(ben)
    assert (last.manifest, last.key, last.text, last.attempt) == (None, None, None, None)


@pytest.mark.threat("gallery-auto-save")
@pytest.mark.parametrize("content_kind", CONTENT_BY_KIND)
def test_files_of_a_reopenable_message_stay_sealed_and_are_deleted_at_expiry(
    network: SingleRelayNetwork, ben: Device, folder: Path, content_kind: str
) -> None:
    sent, ana = CONTENT_BY_KIND[content_kind], network.people["ana"].device
    policy = MessagePolicy(network.clock.now() + timedelta(days=1))
    send_unmarked((sent,), None, policy, "ben", ana)
    fetch_messages(ben)
    (received,) = received_messages(ben)
    before = kept_file_names(folder)
    for _ in range(2):
        assert open_message(received.name, ben).files == (sent,)
        assert len(kept_file_names(folder) - before) == 2
        assert has_no_piece_of(sent.data, read_all_files(folder))
    network.clock.advance(days=2)
    received_messages(ben)
    assert kept_file_names(folder) == before
