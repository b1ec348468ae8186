"""Tests of media and text messages, replies, circle messages, and refused or cancelled ones."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from bench.sounds.attacks import coded
from bench.sounds.material import voice
from entrenous.base.audio_video import UnsupportedSoundCodec, UnsupportedVideoCodec
from entrenous.base.copies import Copy
from entrenous.base.picture import NotAPicture, OnlyPicturesHaveASize
from entrenous.crypto.hashing import mark_commitment
from entrenous.device.sent_messages import Message
from entrenous.send.fetch import fetch_messages
from entrenous.send.inbox import name_of_message, received_messages, reference_to_message
from entrenous.send.letter.letter_nouns import FileRole, OpenedContent
from entrenous.send.message.draft import LimitNotSupportedByRecipient, SendingUndone
from entrenous.send.message.prepared_files import prepare_files
from entrenous.send.message.transfer_progress import NO_WATCH, ByteCounter, TransferStage
from entrenous.send.people.circle_members import create_or_extend_circle
from entrenous.send.people.keep_contacts import contact_named, store_contact
from entrenous.send.send import send_message
from entrenous.trace.trace_file import trace_file
from entrenous.wire.receipt import write_committed_mark
from tests.clips import encode_clip, hand_held_frames, merge_streams
from tests.send.message.media_network import (
    FRIENDS,
    draft_to_friends,
    network_with_media_readers,
    small_clip,
    traceable_photo,
    voice_note,
)
from tests.send.send_device import Network

pytestmark = pytest.mark.slow

OpenedByName = Mapping[str, OpenedContent]


def send_and_open(
    network: Network, *files: bytes, **fields: object
) -> tuple[Message, OpenedByName]:
    """Send a message to both friends; return its ledger record and what each of them opened."""
    ana = network["ana"]
    send_message(draft_to_friends(ana, *files, **fields), ana.device)
    message = list(ana.device.ledger.messages())[-1]
    return message, {name: network[name].open_newest() for name in FRIENDS}


@pytest.fixture(scope="module")
def mixed_message() -> tuple[Network, Message, OpenedByName]:
    """Send three files and a caption; return the network, the record and what was opened."""
    network = network_with_media_readers()
    return network, *send_and_open(
        network, small_clip(), traceable_photo(), voice_note(), caption="all of it"
    )


def silent_byte_counter() -> ByteCounter:
    return ByteCounter(TransferStage.PREPARING, 0, NO_WATCH)


def copies_by_place(message: Message) -> dict[int | None, tuple[Copy, ...]]:
    files = (*message.sounds, *message.clips, *message.pictures)
    return {one.place: one.copies for one in files}


def test_a_message_may_hold_a_clip_a_picture_and_a_voice_note(
    mixed_message: tuple[Network, Message, OpenedByName],
) -> None:
    _, message, opened = mixed_message
    for content in opened.values():
        assert [(file.media_type, file.role) for file in content.files] == [
            ("video/mp4", FileRole.CLIP),
            ("image/jpeg", FileRole.PICTURE),
            ("audio/ogg", FileRole.VOICE),
        ]
        assert content.caption == "all of it"
    assert [len(message.clips), len(message.pictures), len(message.sounds)] == [1, 1, 1]
    assert sorted(copies_by_place(message), key=str) == [1, 2, 3]


@pytest.mark.slow
@pytest.mark.parametrize(
    "place",
    [
        # Nightly only, because tests/transcripts/two_people.txt already traces a clip.
        pytest.param(1, id="clip", marks=pytest.mark.nightly),
        pytest.param(2, id="picture"),
        pytest.param(3, id="voice note"),
    ],
)
def test_recipients_get_different_copies_and_trace_names_the_recipient_of_one(
    mixed_message: tuple[Network, Message, OpenedByName], place: int
) -> None:
    network, message, opened = mixed_message
    files = {name: opened[name].files[place - 1].data for name in FRIENDS}
    assert len({*files.values(), small_clip(), traceable_photo(), voice_note()}) == 5
    trace = trace_file(files["caro"], network["ana"].device).trace
    assert trace.verdict.named == ("caro",)
    assert trace.message == message.name


@pytest.mark.slow
def test_the_letter_commits_to_the_mark_of_every_file(
    mixed_message: tuple[Network, Message, OpenedByName],
) -> None:
    network, message, _ = mixed_message
    (received,) = received_messages(network["ben"].device)
    assert received.manifest is not None
    copies = copies_by_place(message)
    bens_copies = [next(copy for copy in copies[place] if copy.to == "ben") for place in (1, 2, 3)]
    assert received.manifest.marks == tuple(
        mark_commitment(write_committed_mark(message.id, place, copy))
        for place, copy in enumerate(bens_copies, 1)
    )


def test_a_message_may_consist_of_text_only() -> None:
    network = network_with_media_readers()
    text = "Tonight at eight.\n" + "a" * 16_000
    message, opened = send_and_open(network, files=(), text=text)
    assert [(content.files, content.caption) for content in opened.values()] == [((), text)] * 2
    assert (message.pictures, message.clips, message.sounds) == ((), (), ())
    assert message.caption == text


def test_replies_name_their_message_and_circle_messages_their_circle() -> None:
    network = network_with_media_readers()
    ana, ben = network["ana"], network["ben"]
    first, _ = send_and_open(network)
    network.clock.advance(seconds=1)
    circle = create_or_extend_circle("both", list(FRIENDS), ana.device)
    reply = reference_to_message(first.name, ana.device)
    draft = draft_to_friends(ana, reply=reply, circles=(circle.id,), confirmed=frozenset(["both"]))
    send_message(draft, ana.device)
    fetch_messages(ben.device)
    answer = received_messages(ben.device)[-1]
    assert answer.manifest is not None
    assert (answer.manifest.reply, answer.manifest.circle) == (reply, circle.id)
    assert name_of_message(reply, ben.device) == first.name
    assert reference_to_message(first.name, ben.device) == reply
    assert name_of_message(reply, ana.device) == first.name


def test_a_message_to_several_circles_names_no_circle() -> None:
    network = network_with_media_readers()
    ana, ben = network["ana"], network["ben"]
    ids = tuple(create_or_extend_circle(f"with {name}", [name], ana.device).id for name in FRIENDS)
    names = frozenset(f"with {name}" for name in FRIENDS)
    send_message(draft_to_friends(ana, circles=ids, confirmed=names), ana.device)
    fetch_messages(ben.device)
    (received,) = received_messages(ben.device)
    assert received.manifest is not None
    assert received.manifest.circle is None


def test_a_clip_without_frames_is_a_voice_note() -> None:
    network = network_with_media_readers()
    sound = coded(voice(6.0, 48_000), 48_000, "aac", "mp4", 96_000)
    prepared = prepare_files((sound,), None, network["ana"].device, silent_byte_counter())
    assert [
        (copy_format.media_type, copy_format.role) for copy_format in prepared.copy_formats
    ] == [("audio/mp4", FileRole.VOICE)]


def test_the_size_option_requires_a_picture() -> None:
    device = network_with_media_readers()["ana"].device
    with pytest.raises(OnlyPicturesHaveASize):
        prepare_files((voice_note(),), 400, device, silent_byte_counter())
    assert (
        prepare_files((voice_note(), traceable_photo()), 400, device, silent_byte_counter())
        .copy_formats[1]
        .role
        is FileRole.PICTURE
    )


def test_a_file_that_is_no_picture_stops_the_message_and_nothing_is_stored() -> None:
    network = network_with_media_readers()
    ana = network["ana"]
    with pytest.raises(NotAPicture):
        send_message(draft_to_friends(ana, traceable_photo(), b"not a picture"), ana.device)
    assert list(ana.device.ledger.messages()) == []
    assert ana.vault._files == {}


def test_a_clip_with_unreadable_sound_is_not_sent_silent() -> None:
    network = network_with_media_readers()
    ana = network["ana"]
    surround = coded(voice(2.0, 48_000), 48_000, "ac3", "mp4", 96_000)
    with pytest.raises(UnsupportedSoundCodec) as raised:
        send_message(
            draft_to_friends(ana, traceable_photo(), merge_streams(small_clip(), surround)),
            ana.device,
        )
    assert raised.value.file == 1
    assert list(ana.device.ledger.messages()) == []


def test_a_clip_with_unreadable_pictures_is_not_sent_as_a_voice_note() -> None:
    network = network_with_media_readers()
    ana = network["ana"]
    film = encode_clip(hand_held_frames(seconds=0.5), codec="ffv1", container="matroska")
    sound = coded(voice(6.0, 48_000), 48_000, "aac", "mp4", 96_000)
    with pytest.raises(UnsupportedVideoCodec) as raised:
        send_message(
            draft_to_friends(ana, merge_streams(film, sound, container="matroska")), ana.device
        )
    assert raised.value.file == 0
    assert list(ana.device.ledger.messages()) == []


def test_cancelling_a_message_deletes_everything_stored_for_it() -> None:
    network = network_with_media_readers()
    ana = network["ana"]

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with ana.courier.replace_calls(upload_blob=interrupt), pytest.raises(SendingUndone):
        send_message(draft_to_friends(ana, voice_note()), ana.device)
    assert ana.vault._files == {}
    assert list(ana.device.ledger.messages()) == []


@pytest.mark.threat("view-once-bypass")
def test_view_once_requires_recipient_programs_that_promise_it() -> None:
    network = network_with_media_readers()
    ana = network["ana"]
    old = contact_named("caro", ana.device)
    (key,) = old.person.devices
    person = replace(old.person, devices=(replace(key, enforces=(2, 3)),))
    store_contact(replace(old, person=person), ana.device)
    draft = draft_to_friends(ana)
    limited_draft = replace(draft, policy=replace(draft.policy, opens=1))
    with pytest.raises(
        LimitNotSupportedByRecipient, match="show a message only once: caro"
    ) as raised:
        send_message(limited_draft, ana.device)
    assert "ben" not in str(raised.value)
    assert list(ana.device.ledger.messages()) == []
    assert send_message(draft, ana.device).devices == {"ben": 1, "caro": 1}
