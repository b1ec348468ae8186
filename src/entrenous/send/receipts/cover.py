"""What a receipt for one of our copies has to cover, kept from when its letter was written."""

from entrenous.craft.crypto.hashing import sha256
from entrenous.craft.wire.letter.letter import write_manifest
from entrenous.model.ids import EnvelopeId
from entrenous.model.letter import Manifest
from entrenous.model.receipt import Covered
from entrenous.ports import Device
from entrenous.send.drawers import COVERED, lay


def note_covered(manifest: Manifest, envelope: EnvelopeId, device: Device) -> None:
    """Keep what a receipt will be checked against; in the transaction that writes the letter."""
    covered = Covered(sha256(write_manifest(manifest)), manifest.marks)
    lay(covered, COVERED, envelope.hex(), device.vault)
