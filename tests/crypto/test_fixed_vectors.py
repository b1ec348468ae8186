"""The vectors in tests/vectors/crypto: data from earlier versions must still open."""

from dataclasses import replace
from pathlib import Path

import pytest

from entrenous.base.identifiers import EnvelopeId, MailboxId, MessageId
from entrenous.base.identity import BadSignature
from entrenous.base.secret import Secret
from entrenous.crypto.encryption_at_rest import decrypt_blob, unseal_file
from entrenous.crypto.hashing import mark_commitment, mark_commitments_hash
from entrenous.crypto.identity_keys import (
    DeviceSigner,
    master_keys_from_seed,
    mldsa65_hash,
    mldsa65_public_key,
    new_olm_account,
    person_id,
    public_master_keys,
    verify_both_signatures,
)
from entrenous.crypto.key_derivation import blob_key, content_key, derive_send_token
from entrenous.crypto.nouns import NotForThisMailbox
from entrenous.crypto.seal import open_first_letter, open_outer_seal
from entrenous.crypto.statements import (
    device_list_heads,
    receipt_leaf,
    verify_key_bundle,
    verify_prekey,
    verify_receipt,
)
from entrenous.crypto.vault_key import (
    first_format_vault_key,
    offline_share_key,
    oprf_input,
    stretch_passphrase,
    vault_key,
)
from entrenous.send.formats.identity_formats import read_prekey
from entrenous.wire.key_bundle import read_key_bundle
from entrenous.wire.receipt import read_receipt_proof

VECTOR_FOLDER = Path(__file__).parents[1] / "vectors" / "crypto"


def read_vector(name: str) -> dict[str, bytes]:
    """Return the decoded hexadecimal values of one vector file."""
    lines = (VECTOR_FOLDER / f"{name}.txt").read_text().splitlines()[2:]
    return {key: bytes.fromhex(value) for key, value in (line.split(": ") for line in lines)}


def test_first_letter_vector_opens() -> None:
    letter = read_vector("first_letter")
    private, account = Secret(letter["private"]), Secret(letter["account"])
    around = open_outer_seal(private, letter["info"], letter["bytes"])
    opened, _ = open_first_letter(account, letter["sender"], around)
    assert (opened.header, opened.body) == (letter["header"], letter["body"])
    with pytest.raises(NotForThisMailbox):
        open_outer_seal(private, letter["info"] + b"\x00", letter["bytes"])


def test_blob_vector_decrypts() -> None:
    blob = read_vector("blob")
    assert decrypt_blob(Secret(blob["key"]), blob["bytes"]) == blob["plaintext"]


def test_sealed_file_vector_unseals() -> None:
    file = read_vector("sealed_file")
    assert unseal_file(Secret(file["key"]), file["bytes"], file["name"]) == file["plaintext"]


def test_master_key_vector_verifies() -> None:
    master = read_vector("master")
    public = public_master_keys(master_keys_from_seed(master["seed"]))
    assert person_id(public) == master["person"]
    verify_both_signatures(
        public, master["context"], master["statement"], master["bytes"], what="vector"
    )


def test_content_key_matches_its_vector() -> None:
    parts = read_vector("content_key")
    key = content_key(
        Secret(parts["secret"]),
        Secret(parts["share"]),
        MessageId(parts["message"]),
        EnvelopeId(parts["envelope"]),
        parts["manifest"],
    )
    assert key.reveal() == parts["key"]
    assert [blob_key(key, place).reveal() for place in (0, 1)] == [parts["frame"], parts["file"]]


def test_send_tokens_match_their_vector() -> None:
    parts = read_vector("send_token")
    assert derive_send_token(Secret(parts["seed"]), 0).reveal() == parts["token_0"]
    assert derive_send_token(Secret(parts["seed"]), 64).reveal() == parts["token_64"]


def test_mark_commitments_match_their_vector() -> None:
    parts = read_vector("mark_commitment")
    assert mark_commitment(parts["bytes"]) == parts["commitment"]
    assert mark_commitments_hash(parts["marks"]) == parts["marks_hash"]


def test_key_bundle_vector_of_three_lists_verifies() -> None:
    parts = read_vector("card")
    card = read_key_bundle(parts["bytes"])
    person = verify_key_bundle(card)
    (device,) = person.devices
    assert (person.id, bytes([person.epoch]), person.head) == (
        parts["person"],
        parts["epoch"],
        parts["head"],
    )
    assert (device.device, device.mailbox) == (parts["device"], parts["mailbox"])
    heads = device_list_heads(card.lists)
    assert [head.digest for head in heads[:2]] == [parts["head_1"], parts["head_2"]]


def test_receipt_vector_verifies() -> None:
    """The receipt's signer is the only device in the vector ``card``."""
    parts, (by,) = (
        read_vector("receipt"),
        verify_key_bundle(read_key_bundle(read_vector("card")["bytes"])).devices,
    )
    assert by.ed25519 == parts["ed25519"]
    proof = read_receipt_proof(parts["bytes"])
    key = mldsa65_public_key(DeviceSigner(new_olm_account(), Secret(parts["mldsa65_seed"])))
    assert (proof.batch.mldsa65, mldsa65_hash(key)) == (key, by.mldsa65_hash)
    assert receipt_leaf(parts["statement"]) == parts["leaf"]
    assert (proof.batch.statement, proof.batch.batch.root) == (parts["batch"], parts["root"])
    verify_receipt(parts["statement"], proof, by)
    with pytest.raises(BadSignature, match="receipt"):
        verify_receipt(parts["statement"] + b"\0", proof, by)


def test_prekey_batch_vector_verifies() -> None:
    """The batch is signed by the only device in the vector ``card``, for that device's mailbox."""
    parts, (by,) = (
        read_vector("prekeys"),
        verify_key_bundle(read_key_bundle(read_vector("card")["bytes"])).devices,
    )
    batch = read_prekey(parts["bytes"]).batch
    assert batch is not None
    assert (batch.statement, batch.batch.root) == (parts["batch"], parts["root"])
    for name in ("one_time_1", "one_time_2", "one_time_3", "fallback", "bytes"):
        verify_prekey(read_prekey(parts[name]), batch, by, MailboxId(parts["mailbox"]))
    moved = replace(read_prekey(parts["fallback"]), place=read_prekey(parts["one_time_1"]).place)
    with pytest.raises(BadSignature, match="message key"):
        verify_prekey(moved, batch, by, by.mailbox)


def test_first_format_vault_key_matches_its_vector() -> None:
    parts = read_vector("vault_key")
    stretched = stretch_passphrase(Secret(parts["passphrase"]), parts["salt"])
    key = first_format_vault_key(stretched, parts["device"], parts["salt"])
    assert key.reveal() == parts["key"]


def test_vault_key_with_a_relay_share_matches_its_vector() -> None:
    parts = read_vector("vault_key_2")
    stretched = stretch_passphrase(Secret(parts["passphrase"]), parts["salt"])
    assert oprf_input(stretched).reveal() == parts["asked"]
    assert offline_share_key(stretched).reveal() == parts["offline"]
    for output, key in (("output", "key"), ("none", "key_without_relay")):
        made = vault_key(stretched, Secret(parts.get(output, b"")), parts["device"], parts["salt"])
        assert made.reveal() == parts[key]
