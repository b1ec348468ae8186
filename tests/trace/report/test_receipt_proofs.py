"""Tests of receipts in reports: honest, wrong and missing ones, and edited ledgers."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from entrenous.base.copies import CopyProof, ReceiptEvent, ReceiptProof, SignedReceipt
from entrenous.base.identifiers import PersonId, RecipientId
from entrenous.base.identity import BadSignature, BatchPosition
from entrenous.base.secret import Secret
from entrenous.cli import run
from entrenous.crypto.statements import receipt_leaf, sign_receipts
from entrenous.device.identities import own_device
from entrenous.device.sent_copies import receipt_proofs
from entrenous.device.sent_messages import Message
from entrenous.media.picture_reader import read_picture
from entrenous.send.devices.device_lists import accept_contact_bundle
from entrenous.send.devices.own_key_bundle import batch_positions, sign_batch
from entrenous.send.fetch import fetch_messages
from entrenous.send.inbox import received_messages
from entrenous.send.message.draft import Draft, MessagePolicy
from entrenous.send.open import show_received_message
from entrenous.send.people.keep_contacts import contact_named, mark_keys_compared
from entrenous.send.send import send_message
from entrenous.terminal.output import key_fingerprint
from entrenous.trace.originals import OriginalsCache
from entrenous.trace.picture import trace_picture
from entrenous.trace.report.check_report import (
    ReportInputs,
    check_copy_receipts,
    check_report,
    key_bundles_for_receipts,
    proof_of_copy,
    receipt_signer,
    was_opened,
)
from entrenous.trace.report.disclose import WrittenReport, disclose_trace
from entrenous.trace.report.nouns import DisclosedCopy, ReportCheckFailed
from entrenous.wire.receipt import (
    read_receipt_proof,
    read_receipt_statement,
    write_receipt_proof,
    write_receipt_statement,
)
from tests.send.send_device import SMALL_PICTURE, Network, Person
from tests.trace.traced_leak import coffee_photo, crop_jpeg, encode_jpeg
from tests.village.households import add_linked_device

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class LeakedPicture:
    """Ana sent a picture to Ben and Caro, whose devices signed receipts; Ben's copy leaked."""

    ana: Person
    ben: Person
    message: Message
    original: bytes
    leak: bytes
    originals: OriginalsCache = field(default_factory=lambda: OriginalsCache(read_picture))

    def write_report(self, *, blind: bool = False) -> WrittenReport:
        """Return the report that Ana's device writes from its current ledger."""
        seen = trace_picture(self.leak, self.ana.device, originals=self.originals)
        number = seen.trace.number
        proofs = receipt_proofs(self.message.id, self.ana.device)
        return disclose_trace(number, self.leak, self.ana.device, None, blind=blind, proofs=proofs)

    def report_inputs(self, report: bytes) -> ReportInputs:
        return ReportInputs(report, self.leak, self.original)


@pytest.fixture(scope="module")
def leaked_picture() -> LeakedPicture:
    network, original = Network(), encode_jpeg(coffee_photo(), 95)
    ana, ben, caro = (network.set_up_person(name) for name in ("ana", "ben", "caro"))
    for one in (ben, caro):
        ana.add_contact(one)
        mark_keys_compared("ana", one.device)
    ana.send(original, ben, caro)
    copy = ben.open_newest().files[0].data
    fetch_messages(caro.device)  # Caro never opens her copy.
    assert len(received_messages(caro.device)) == 1
    network.clock.advance(minutes=16)
    for one in (ben, caro, ana):
        fetch_messages(one.device)
    (message,) = ana.device.ledger.messages()
    return LeakedPicture(ana, ben, message, original, crop_jpeg(copy))


@pytest.fixture(scope="module")
def disclosed_report(leaked_picture: LeakedPicture) -> WrittenReport:
    return leaked_picture.write_report()


def find_copy(disclosed_report: WrittenReport, recipient: str) -> DisclosedCopy:
    return next(copy for copy in disclosed_report.report.copies if copy.to == recipient)


@pytest.mark.threat("sender-frames")
def test_an_honest_report_holds_and_says_who_opened_it(
    leaked_picture: LeakedPicture, disclosed_report: WrittenReport
) -> None:
    repeated = check_report(leaked_picture.report_inputs(disclosed_report.file), read_picture)
    assert repeated.report.named == ("ben",)
    both_events = {ReceiptEvent.DELIVERED, ReceiptEvent.OPENED}
    assert {one.event for one in repeated.signed["ben"]} == both_events
    assert was_opened(repeated.signed["ben"])
    assert [one.event for one in repeated.signed["caro"]] == [ReceiptEvent.DELIVERED]
    assert not was_opened(repeated.signed["caro"])


def test_report_contains_the_receipts_for_delivery_opening_and_export(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network, original = Network(), encode_jpeg(coffee_photo(), 95)
    ana, ben = network.set_up_person("ana"), network.set_up_person("ben")
    ana.add_contact(ben)
    mark_keys_compared("ana", ben.device)
    policy = MessagePolicy(network.clock.now() + timedelta(days=7), 1, may_export=True)
    draft = Draft((original,), (RecipientId("ben"),), policy, confirmed=frozenset({"ben"}))
    send_message(draft, ana.device)
    fetch_messages(ben.device)
    shown = io.BytesIO()
    show_received_message(
        received_messages(ben.device)[-1].name,
        lambda _number, _file, write: write(shown),
        ben.device,
        export=True,
    )
    network.clock.advance(minutes=16)
    for one in (ben, ana):
        fetch_messages(one.device)
    (message,) = ana.device.ledger.messages()
    exported = LeakedPicture(ana, ben, message, original, crop_jpeg(shown.getvalue()))
    report = exported.write_report()
    checked = check_report(exported.report_inputs(report.file), read_picture)
    assert {one.event for one in checked.signed["ben"]} == set(ReceiptEvent)
    files = {"r.json": report.file, "leak.jpg": exported.leak, "original.jpg": original}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    report_path, leak, original_path = (str(tmp_path / name) for name in files)
    command = ["verdict", "check", report_path, "--leak", leak, "--original", original_path]
    assert run(command, {}) == 0
    output = capsys.readouterr().out
    assert output.count("received on") == output.count("opened and exported on") == 1


@pytest.mark.threat("sender-frames")
def test_a_ledger_that_was_edited_after_sending_is_refused(leaked_picture: LeakedPicture) -> None:
    """Ana exchanges the seeds, hashes and nonces of two copies in her ledger."""
    (picture,) = leaked_picture.message.pictures
    ben, caro = picture.copies
    framed = (
        replace(ben, seed=caro.seed, sha256=caro.sha256, nonce=caro.nonce),
        replace(caro, seed=ben.seed, sha256=ben.sha256, nonce=ben.nonce),
    )
    edited = replace(leaked_picture.message, pictures=(replace(picture, copies=framed),))
    leaked_picture.ana.device.ledger.store_message(edited)
    try:
        made = leaked_picture.write_report()
        assert made.report.named == ("caro",)
        with pytest.raises(ReportCheckFailed, match=r"what the device of .* signed"):
            check_report(leaked_picture.report_inputs(made.file), read_picture)
    finally:
        leaked_picture.ana.device.ledger.store_message(leaked_picture.message)


@pytest.fixture
def report_with_swapped_labels(leaked_picture: LeakedPicture) -> Iterator[WrittenReport]:
    """Yield a report after Ana exchanged only the labels of Ben and Caro in her ledger."""
    (picture,) = leaked_picture.message.pictures
    ben, caro = picture.copies
    labels = replace(ben, to=caro.to), replace(caro, to=ben.to)
    edited = replace(leaked_picture.message, pictures=(replace(picture, copies=labels),))
    leaked_picture.ana.device.ledger.store_message(edited)
    try:
        yield leaked_picture.write_report()
    finally:
        leaked_picture.ana.device.ledger.store_message(leaked_picture.message)


@pytest.mark.threat("sender-frames")
def test_check_shows_the_signing_keys_beside_the_senders_label(
    leaked_picture: LeakedPicture,
    report_with_swapped_labels: WrittenReport,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ben = contact_named("ben", leaked_picture.ana.device).person.id
    repeated = check_report(
        leaked_picture.report_inputs(report_with_swapped_labels.file), read_picture
    )
    assert repeated.report.named == ("caro",)
    assert receipt_signer(repeated.signed["caro"]) == ben
    files = {
        "r.json": report_with_swapped_labels.file,
        "leak.jpg": leaked_picture.leak,
        "original.jpg": leaked_picture.original,
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    asked = ["verdict", "check", str(tmp_path / "r.json"), "--leak", str(tmp_path / "leak.jpg")]
    assert run([*asked, "--original", str(tmp_path / "original.jpg")], {}) == 0
    output = capsys.readouterr().out
    assert f"person with the keys {key_fingerprint(ben)} signed" in output
    assert "That this is caro is the sender's word" in output
    assert "Signed by their device" not in output


@pytest.mark.threat("sender-frames")
def test_receipts_that_name_different_senders_are_refused(
    leaked_picture: LeakedPicture, disclosed_report: WrittenReport
) -> None:
    ben, caro = find_copy(disclosed_report, "ben"), find_copy(disclosed_report, "caro")
    assert ben.proof is not None
    said = read_receipt_statement(ben.proof.receipts[0].statement)
    others = replace(said, sender=PersonId(bytes(32)))
    statement = write_receipt_statement(others)
    leaves = [receipt_leaf(statement)]
    batch = sign_batch(leaves, None, sign_receipts, leaked_picture.ben.device)
    proof = write_receipt_proof(ReceiptProof(batch_positions(leaves)[0], batch))
    signed = SignedReceipt(statement, proof)
    claimed = replace(ben, proof=replace(ben.proof, receipts=(signed,)))
    assert set(check_copy_receipts([claimed], disclosed_report.report.cards)) == {"ben"}
    with pytest.raises(ReportCheckFailed, match="the sender in the receipts"):
        check_copy_receipts([claimed, caro], disclosed_report.report.cards)


def test_a_receipt_signed_before_a_device_list_change_is_proven_by_the_newer_key_bundle() -> None:
    network = Network()
    ana, ben = network.set_up_person("ana"), network.set_up_person("ben")
    ana.add_contact(ben)
    mark_keys_compared("ana", ben.device)
    ana.send(SMALL_PICTURE, ben)
    fetch_messages(ben.device)
    network.clock.advance(minutes=16)
    fetch_messages(ben.device)
    add_linked_device(network, ben, "phone")
    with ana.device.vault.transaction():
        accept_contact_bundle(
            contact_named("ben", ana.device), own_device(ben.device).card, ana.device
        )
    fetch_messages(ana.device)
    (message,) = ana.device.ledger.messages()
    (copy,) = message.pictures[0].copies
    proofs = receipt_proofs(message.id, ana.device)
    figures = (0.0, 0, 0.0, 1.0, 1.0, proof_of_copy(copy, proofs.copies))
    shown = DisclosedCopy("ben", copy.seed, copy.sha256, *figures)
    cards = key_bundles_for_receipts([shown], proofs.cards)
    assert len(cards) == 1
    ((said,),) = check_copy_receipts([shown], cards).values()
    assert (said.recipient, receipt_signer([said])) == (ben.id, ben.id)
    assert said.head != contact_named("ben", ana.device).person.head


ProofChange = Callable[[CopyProof, CopyProof], CopyProof]


def use_others_receipts(mine: CopyProof, theirs: CopyProof) -> CopyProof:
    return replace(mine, receipts=theirs.receipts)


def use_others_proof(_: CopyProof, theirs: CopyProof) -> CopyProof:
    return theirs


def change_message(mine: CopyProof, _: CopyProof) -> CopyProof:
    return replace(mine, message=bytes(16))


def change_device(mine: CopyProof, _: CopyProof) -> CopyProof:
    return replace(mine, device=bytes(16))


def change_nonce(mine: CopyProof, _: CopyProof) -> CopyProof:
    return replace(mine, nonce=Secret(bytes(32)))


def remove_nonce(mine: CopyProof, _: CopyProof) -> CopyProof:
    return replace(mine, nonce=None)


def use_others_marks(mine: CopyProof, theirs: CopyProof) -> CopyProof:
    return replace(mine, marks=theirs.marks)


@pytest.mark.threat("sender-frames")
@pytest.mark.parametrize(
    "change",
    [
        *(use_others_receipts, use_others_proof, change_message, change_device),
        *(change_nonce, remove_nonce, use_others_marks),
    ],
    ids=lambda change: change.__name__,
)
def test_receipt_for_another_copy_is_refused(
    disclosed_report: WrittenReport, change: ProofChange
) -> None:
    ben, caro = find_copy(disclosed_report, "ben"), find_copy(disclosed_report, "caro")
    assert ben.proof is not None
    assert caro.proof is not None
    changed = replace(ben, proof=change(ben.proof, caro.proof))
    with pytest.raises(ReportCheckFailed):
        check_copy_receipts([changed, caro], disclosed_report.report.cards)


def test_receipt_without_valid_signature_or_device_list_is_refused(
    disclosed_report: WrittenReport,
) -> None:
    ben = find_copy(disclosed_report, "ben")
    assert ben.proof is not None
    (first, *rest) = ben.proof.receipts
    unproven = replace(read_receipt_proof(first.proof), place=BatchPosition(63, (bytes(32),) * 6))
    forged = SignedReceipt(first.statement, write_receipt_proof(unproven))
    unsigned = replace(ben, proof=replace(ben.proof, receipts=(forged, *rest)))
    with pytest.raises(BadSignature):
        check_copy_receipts([unsigned], disclosed_report.report.cards)
    with pytest.raises(ReportCheckFailed, match="no card with that list"):
        check_copy_receipts([ben], ())


def test_report_without_receipts_proves_nothing(disclosed_report: WrittenReport) -> None:
    ben = find_copy(disclosed_report, "ben")
    assert ben.proof is not None
    stripped = replace(ben, proof=replace(ben.proof, receipts=()))
    assert check_copy_receipts([stripped, replace(ben, to="b", proof=None)], ()) == {}
    assert not was_opened(())


def test_blind_report_hides_everybody_who_is_not_named(leaked_picture: LeakedPicture) -> None:
    made = leaked_picture.write_report(blind=True)
    assert len(made.report.cards) == 1
    assert [copy.proof is not None for copy in made.report.copies] == [
        copy.to == "ben" for copy in made.report.copies
    ]
    assert set(check_copy_receipts(made.report.copies, made.report.cards)) == {"ben"}
