"""Send files with any content, sealed and posted as usual, but without marked copies."""

import secrets

from entrenous.base.identifiers import MessageId, MessageName
from entrenous.base.secret import Secret
from entrenous.device.device import Device
from entrenous.send.clock_sanity import now_in_whole_seconds
from entrenous.send.flush import flush_outbox
from entrenous.send.letter.letter_nouns import ContentFile, MessageReference, PersonDeviceListHead
from entrenous.send.letter.sessions import ensure_sessions
from entrenous.send.letter.write import addressees, seal_and_queue_letter
from entrenous.send.message.draft import MessagePolicy
from entrenous.send.message.make import FileForDevice, SendingContext, seal_content
from entrenous.send.people.keep_contacts import contact_named


def send_unmarked(  # noqa: PLR0913, PLR0917 - content, policy and people
    files: tuple[ContentFile, ...],
    text: str | None,
    policy: MessagePolicy,
    to: str,
    sender: Device,
    reply: MessageReference | None = None,
) -> MessageId:
    """Send files and a text to a person with one device, without marks and checks."""
    contact, message = contact_named(to, sender), MessageId(secrets.token_bytes(16))
    (recipient,) = ensure_sessions(addressees(contact, sender), sender)
    sending = SendingContext(
        *(message, MessageName("7-large-whale"), now_in_whole_seconds(sender), policy),
        ((contact.person.id, recipient.key.device),),
        (PersonDeviceListHead(contact.person.id, contact.person.epoch, contact.person.head),),
        Secret(secrets.token_bytes(32)),
        reply,
    )
    unmarked = tuple(FileForDevice(file, None) for file in files)
    sealed = seal_content(unmarked, text, recipient, sending, sender)
    with sender.vault.transaction():
        seal_and_queue_letter(sealed.manifest, recipient, sealed.outer, sender)
    assert not flush_outbox(sender).problems
    return message
