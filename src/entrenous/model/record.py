"""What a device keeps in its vault: nouns as bytes (craft/wire/record.py)."""

from entrenous.model.errors import Malformed


class BadRecord(Malformed):
    """
    A stored {kind} cannot be read: its bytes are damaged, or a newer version of Entrenous wrote
    them. Nothing was changed. Update Entrenous and try again, or restore the vault from a backup.
    """
