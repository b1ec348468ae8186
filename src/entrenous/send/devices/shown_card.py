"""The card as it lies at the relay: readable for whoever was invited, and not for the relay.

A card says what its owner calls herself and what her master keys are, and none of that is the
relay's business. Its key grows from the person's id, which invites carry and relays never see.
"""

from entrenous.craft.crypto.sealed_file import seal_file, unseal_file
from entrenous.model.ids import MailboxId, PersonId
from entrenous.model.letter import DoesNotOpen
from entrenous.model.person import NotTheirKeys
from entrenous.model.secret import Secret


def shown_card(card: bytes, person: PersonId, mailbox: MailboxId) -> bytes:
    """What is published (docs/spec/identity.md section 4)."""
    return seal_file(Secret(person), card, mailbox)


def seen_card(untrusted_shown: bytes, person: PersonId, mailbox: MailboxId) -> bytes:
    """The card, itself still to be verified.

    Raises:
        NotTheirKeys: this was published for another person or mailbox, or was changed.
    """
    try:
        return unseal_file(Secret(person), untrusted_shown, mailbox)
    except DoesNotOpen:
        raise NotTheirKeys from None
