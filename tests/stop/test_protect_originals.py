"""Finding the original files of a sent message, to register them."""

from datetime import UTC, datetime

from entrenous.base.identifiers import MessageId, MessageName
from entrenous.base.secret import Secret
from entrenous.device.sent_messages import Message, SentClip, SentPicture, SentSound
from entrenous.fingerprint.nouns import Fingerprint
from entrenous.stop.protect import original_files_of
from tests.stop.platform_for_tests import new_device


def test_original_files_are_returned_once_each_in_the_order_sent() -> None:
    """The record of a clip and the record of the clip's sound name the same file."""
    device = new_device()
    picture, clip, note = (device.vault.store_file(data) for data in (b"picture", b"clip", b"note"))
    info = device.vault.store_file(b"what was measured")
    dither, flat = Secret(bytes(32)), Fingerprint("pdq", bytes(32), 0)
    message = Message(
        MessageId(bytes(16)),
        MessageName("7-lunar-otter"),
        datetime(2026, 11, 25, tzinfo=UTC),
        (SentPicture(picture, flat, dither, (), place=3),),
        clips=(SentClip(clip, info, dither, (), 320, 240, 4.0, place=1),),
        sounds=(SentSound(clip, info, 4.0, (), place=1), SentSound(note, info, 6.0, (), 2)),
    )
    device.ledger.store_message(message)
    kept = device.ledger.message_named("7-lunar-otter")
    assert list(original_files_of(kept, device)) == [b"clip", b"note", b"picture"]
    text_only = Message(message.id, message.name, message.sent_at, ())
    assert list(original_files_of(text_only, device)) == []
