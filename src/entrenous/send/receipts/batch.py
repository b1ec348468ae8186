"""Send the receipts that are due, all that one device is owed in one letter."""

from contextlib import suppress

from entrenous.craft.crypto.statements import receipt_leaf, sign_receipts
from entrenous.craft.wire.letter.commitment import write_receipt_statement
from entrenous.model.errors import EntrenousError
from entrenous.model.ids import DeviceId, PersonId
from entrenous.model.receipt import OwedReceipt, Receipt, Receipts, ReceiptStatement
from entrenous.ports import Device
from entrenous.send.devices.batch import signed_batch
from entrenous.send.devices.self import who_am_i
from entrenous.send.drawers import OWED, take
from entrenous.send.letter.sessions import have_session
from entrenous.send.letter.write import addressee_of, plain_outer, write_letter
from entrenous.send.receipts.note import LONGEST, may_know
from entrenous.spec import RECEIPTS_MAX


def send_receipts(device: Device) -> None:
    """Lay what is due into the outbox. Whoever can't be written to now gets hers the next time;
    whoever may not know any more gets none.
    """
    for whose in sorted({key.rsplit(" ", 2)[0] for key in device.vault.keys(OWED)}):
        with suppress(EntrenousError), device.vault.together():
            _send(whose, device)


def _send(whose: str, device: Device) -> None:
    keys = device.vault.keys(OWED, whose)[:RECEIPTS_MAX]
    owed = [one for key in keys if (one := take(OwedReceipt, OWED, key, device.vault))]
    person, key = (bytes.fromhex(part) for part in whose.split())
    to = addressee_of(PersonId(person), DeviceId(key), device)
    wanted = to is not None and device.receipts and may_know(PersonId(person), device)
    now = device.clock.now()
    if wanted and all(now < one.due_at <= now + LONGEST for one in owed):
        return
    if to is not None and wanted:
        have_session(to, device)
        receipts = tuple(_signed(one, PersonId(person), device) for one in owed)
        batch = signed_batch([one.leaf for one in receipts], None, sign_receipts, device)
        write_letter(Receipts(receipts, batch), to, plain_outer(device), device)
    for one_key in keys:
        device.vault.drop(OWED, one_key)


def _signed(owed: OwedReceipt, sender: PersonId, device: Device) -> Receipt:
    me = who_am_i(device)
    said = ReceiptStatement(
        sender=sender,
        message=owed.message,
        envelope=owed.envelope,
        recipient=me.person.id,
        device=me.key.device,
        head=me.person.head,
        event=owed.event,
        at=owed.at,
        manifest=owed.manifest,
        marks=owed.marks,
    )
    leaf = receipt_leaf(write_receipt_statement(said))
    return Receipt(owed.event, owed.message, owed.envelope, owed.at, owed.marks, leaf)
