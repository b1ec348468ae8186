"""The kit of tests/vectors/crypto: what was sent or stored years ago must still open."""

from pathlib import Path

import pytest

from entrenous.craft.crypto.blob import decrypt_blob
from entrenous.craft.crypto.derive import content_key
from entrenous.craft.crypto.hashing import person_id
from entrenous.craft.crypto.master import new_master, public_master, verify_both
from entrenous.craft.crypto.seal import open_around, open_first_letter
from entrenous.craft.crypto.sealed_file import unseal_file
from entrenous.craft.crypto.vault_key import vault_key
from entrenous.model.ids import EnvelopeId, MessageId
from entrenous.model.letter import NotBound
from entrenous.model.secret import Secret

FOLDER = Path(__file__).parents[2] / "vectors" / "crypto"


def facts(name: str) -> dict[str, bytes]:
    """The hexadecimal values of one file."""
    lines = (FOLDER / f"{name}.txt").read_text().splitlines()[2:]
    return {key: bytes.fromhex(value) for key, value in (line.split(": ") for line in lines)}


def test_a_letter_and_the_stored_account_that_opens_it() -> None:
    letter = facts("first_letter")
    private, account = Secret(letter["private"]), Secret(letter["account"])
    around = open_around(private, letter["info"], letter["bytes"])
    opened, _ = open_first_letter(account, letter["sender"], around)
    assert (opened.header, opened.body) == (letter["header"], letter["body"])
    with pytest.raises(NotBound):
        open_around(private, letter["info"] + b"\x00", letter["bytes"])


def test_a_blob() -> None:
    blob = facts("blob")
    assert decrypt_blob(Secret(blob["key"]), blob["bytes"]) == blob["plaintext"]


def test_a_file_at_rest() -> None:
    file = facts("sealed_file")
    assert unseal_file(Secret(file["key"]), file["bytes"], file["name"]) == file["plaintext"]


def test_a_person_and_her_signatures() -> None:
    master = facts("master")
    public = public_master(new_master(master["seed"]))
    assert person_id(public) == master["person"]
    verify_both(public, master["context"], master["statement"], master["bytes"], what="vector")


def test_a_content_key() -> None:
    parts = facts("content_key")
    key = content_key(
        Secret(parts["secret"]),
        Secret(parts["share"]),
        MessageId(parts["message"]),
        EnvelopeId(parts["envelope"]),
        parts["manifest"],
    )
    assert key.reveal() == parts["key"]


def test_a_vault_key() -> None:
    parts = facts("vault_key")
    key = vault_key(Secret(parts["passphrase"]), parts["salt"], parts["device"])
    assert key.reveal() == parts["key"]
