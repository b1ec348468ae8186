"""Each vector in tests/vectors/crypto can be opened, verified or computed again."""

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
    half_opened = open_outer_seal(private, letter["info"], letter["bytes"])
    opened, _ = open_first_letter(account, letter["sender"], half_opened)
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
    fields = read_vector("content_key")
    key = content_key(
        Secret(fields["secret"]),
        Secret(fields["share"]),
        MessageId(fields["message"]),
        EnvelopeId(fields["envelope"]),
        fields["manifest"],
    )
    assert key.reveal() == fields["key"]
    assert [blob_key(key, place).reveal() for place in (0, 1)] == [fields["frame"], fields["file"]]


def test_send_tokens_match_their_vector() -> None:
    fields = read_vector("send_token")
    assert derive_send_token(Secret(fields["seed"]), 0).reveal() == fields["token_0"]
    assert derive_send_token(Secret(fields["seed"]), 64).reveal() == fields["token_64"]


def test_mark_commitments_match_their_vector() -> None:
    fields = read_vector("mark_commitment")
    assert mark_commitment(fields["bytes"]) == fields["commitment"]
    assert mark_commitments_hash(fields["marks"]) == fields["marks_hash"]


def test_key_bundle_vector_of_three_lists_verifies() -> None:
    fields = read_vector("card")
    bundle = read_key_bundle(fields["bytes"])
    person = verify_key_bundle(bundle)
    (device,) = person.devices
    assert (person.id, bytes([person.epoch]), person.head) == (
        fields["person"],
        fields["epoch"],
        fields["head"],
    )
    assert (device.device, device.mailbox) == (fields["device"], fields["mailbox"])
    heads = device_list_heads(bundle.lists)
    assert [head.digest for head in heads[:2]] == [fields["head_1"], fields["head_2"]]


def test_receipt_vector_verifies() -> None:
    """The receipt's signer is the only device in the vector ``card``."""
    fields, (signer,) = (
        read_vector("receipt"),
        verify_key_bundle(read_key_bundle(read_vector("card")["bytes"])).devices,
    )
    assert signer.ed25519 == fields["ed25519"]
    proof = read_receipt_proof(fields["bytes"])
    key = mldsa65_public_key(DeviceSigner(new_olm_account(), Secret(fields["mldsa65_seed"])))
    assert (proof.batch.mldsa65, mldsa65_hash(key)) == (key, signer.mldsa65_hash)
    assert receipt_leaf(fields["statement"]) == fields["leaf"]
    assert (proof.batch.statement, proof.batch.batch.root) == (fields["batch"], fields["root"])
    verify_receipt(fields["statement"], proof, signer)
    with pytest.raises(BadSignature, match="receipt"):
        verify_receipt(fields["statement"] + b"\0", proof, signer)


def test_prekey_batch_vector_verifies() -> None:
    """The batch is signed by the only device in the vector ``card``, for that device's mailbox."""
    fields, (signer,) = (
        read_vector("prekeys"),
        verify_key_bundle(read_key_bundle(read_vector("card")["bytes"])).devices,
    )
    batch = read_prekey(fields["bytes"]).batch
    assert batch is not None
    assert (batch.statement, batch.batch.root) == (fields["batch"], fields["root"])
    for name in ("one_time_1", "one_time_2", "one_time_3", "fallback", "bytes"):
        verify_prekey(read_prekey(fields[name]), batch, signer, MailboxId(fields["mailbox"]))
    moved = replace(read_prekey(fields["fallback"]), place=read_prekey(fields["one_time_1"]).place)
    with pytest.raises(BadSignature, match="message key"):
        verify_prekey(moved, batch, signer, signer.mailbox)


def test_first_format_vault_key_matches_its_vector() -> None:
    fields = read_vector("vault_key")
    stretched = stretch_passphrase(Secret(fields["passphrase"]), fields["salt"])
    key = first_format_vault_key(stretched, fields["device"], fields["salt"])
    assert key.reveal() == fields["key"]


def test_vault_keys_with_and_without_a_relay_share_match_their_vector() -> None:
    fields = read_vector("vault_key_2")
    stretched = stretch_passphrase(Secret(fields["passphrase"]), fields["salt"])
    assert oprf_input(stretched).reveal() == fields["asked"]
    assert offline_share_key(stretched).reveal() == fields["offline"]
    for output, key in (("output", "key"), ("none", "key_without_relay")):
        made = vault_key(
            stretched, Secret(fields.get(output, b"")), fields["device"], fields["salt"]
        )
        assert made.reveal() == fields[key]
