"""The card as it lies at the relay: readable for whoever was invited, and not for the relay.

A card says what its owner calls herself and what her master keys are, and none of that is the
relay's business. Its key grows from the person's id, which invites carry and relays never see, and
it is padded: else its length would tell how long a name is, and how many devices somebody has.
"""

from typing import Final

from entrenous.craft.crypto.sealed_file import seal_file, unseal_file
from entrenous.model.ids import MailboxId, PersonId
from entrenous.model.letter import DoesNotOpen
from entrenous.model.person import NotTheirKeys
from entrenous.model.secret import Secret
from entrenous.spec import SHOWN_CARD_SIZES

_LENGTH_BYTES: Final = 4
_A_CARD_BY_ITSELF: Final = b"\xa7"  # how the map of a card begins, and no length of one


def shown_card(card: bytes, person: PersonId, mailbox: MailboxId) -> bytes:
    """What is published (docs/spec/identity.md section 4)."""
    said = len(card).to_bytes(_LENGTH_BYTES, "big") + card
    size = next(one for one in SHOWN_CARD_SIZES if one >= len(said))
    return seal_file(Secret(person), said.ljust(size, b"\0"), mailbox)


def seen_card(untrusted_shown: bytes, person: PersonId, mailbox: MailboxId) -> bytes:
    """The card, itself still to be verified.

    Raises:
        NotTheirKeys: this was published for another person or mailbox, or was changed.
    """
    try:
        opened = unseal_file(Secret(person), untrusted_shown, mailbox)
    except DoesNotOpen:
        raise NotTheirKeys from None
    return opened if opened.startswith(_A_CARD_BY_ITSELF) else _unpadded(opened)


def _unpadded(opened: bytes) -> bytes:
    """Whoever has an invite could have sealed this too."""
    end = _LENGTH_BYTES + int.from_bytes(opened[:_LENGTH_BYTES], "big")
    if len(opened) not in SHOWN_CARD_SIZES or end > len(opened) or opened[end:].strip(b"\0"):
        raise NotTheirKeys
    return opened[_LENGTH_BYTES:end]
