"""Tests of traces of a clip or sound in several messages, and of a clip and a still of it."""

from dataclasses import replace

import numpy as np
import pytest

from bench.sounds.attacks import coded
from entrenous.base.audio_video import ClipMeasurements
from entrenous.base.identifiers import RecipientId
from entrenous.device.device import Device
from entrenous.device.vault_tables import pack, unpack
from entrenous.media.picture_reader import read_picture
from entrenous.media.sound_reader import read_sound
from entrenous.send.copies.mark_clip import mark_clip_copies
from entrenous.send.copies.mark_file import mark_picture_copies
from entrenous.send.copies.sound_copies import mark_sound_copies
from entrenous.trace.clip import trace_clip
from entrenous.trace.clip_candidates import clip_candidates
from entrenous.trace.clip_frame import trace_frame
from entrenous.trace.originals import OriginalsCache
from entrenous.trace.outcome import MissingFiles
from entrenous.trace.picture import trace_picture
from entrenous.trace.report.check_report import ReportInputs, check_report
from entrenous.trace.report.disclose import disclose_trace
from entrenous.trace.sound import trace_sound
from entrenous.watermark.verdict import Finding, Trace
from tests.clips import decode_frames, encode_clip, hand_held_frames
from tests.send.sounds import device_for_sounds
from tests.sizes import size
from tests.trace.test_clip import encode_screenshot, offline_device
from tests.trace.test_sound import voice_note

pytestmark = pytest.mark.slow

SEPARATE_RECIPIENTS = ("ben", "caro", "dina", "eve", "finn", "gaby", "hugo")
CopiesByName = dict[str, bytes]


def encode_middle_frame(clip: bytes) -> bytes:
    frames = decode_frames(clip)
    return encode_screenshot(frames[len(frames) // 2], 95)


@pytest.fixture(scope="module")
def clip_in_two_messages() -> tuple[Device, CopiesByName]:
    """Mark one clip in two messages, for Ben and for Caro; return the device and both copies."""
    device, source, copies = (
        offline_device(),
        encode_clip(hand_held_frames("coffee", seconds=3.0)),
        {},
    )
    for recipient in ("ben", "caro"):
        ((_, copy),) = mark_clip_copies(source, [RecipientId(recipient)], device)
        copies[recipient] = copy.data
    return device, copies


@pytest.mark.parametrize(
    ("recipient", "traced_by"),
    [
        *(("ben", "a frame"), ("caro", "the clip")),
        pytest.param("ben", "the clip", marks=pytest.mark.nightly),
        pytest.param("caro", "a frame", marks=pytest.mark.nightly),
    ],
)
def test_a_clip_in_two_messages_is_weighed_for_both(
    clip_in_two_messages: tuple[Device, CopiesByName], recipient: str, traced_by: str
) -> None:
    device, copies = clip_in_two_messages
    messages = {one.clips[0].copies[0].to: one.name for one in device.ledger.messages()}
    shot = encode_middle_frame(copies[recipient])
    if traced_by == "the clip":
        trace: Trace | None = trace_clip(copies[recipient], device)
    else:
        trace = trace_frame(read_picture(shot), shot, device)
    assert trace is not None
    assert trace.verdict.named == (recipient,)
    assert trace.message == messages[RecipientId(recipient)]
    assert (trace.compared, trace.others) == (2, ())


@pytest.mark.nightly
def test_each_message_keeps_its_own_survey_of_the_clip(
    clip_in_two_messages: tuple[Device, CopiesByName],
) -> None:
    """The test makes the survey of Caro's message differ from the survey of Ben's message."""
    device, copies = clip_in_two_messages
    message = next(one for one in device.ledger.messages() if one.clips[0].copies[0].to == "caro")
    (clip,) = message.clips
    survey = unpack(ClipMeasurements, device.vault.read_stored_file(clip.survey))
    other = replace(survey, thumbs=bytes([survey.thumbs[0] ^ 1]) + survey.thumbs[1:])
    anew = replace(clip, survey=device.vault.store_file(pack(other)))
    device.ledger.store_message(replace(message, clips=(anew,)))
    (candidate,) = clip_candidates(device, MissingFiles())
    assert len({candidate.survey_sha256, *(one.survey_sha256 for one in candidate.others)}) == 2
    shot = encode_middle_frame(copies["caro"])
    trace = trace_frame(read_picture(shot), shot, device)
    assert trace is not None
    assert trace.verdict.named == ("caro",)


def test_a_clip_and_a_still_of_it_are_each_traced() -> None:
    """Each trace compares two copies: Ben's copy of the still, and Caro's copy of the clip."""
    device, source = offline_device(), encode_clip(hand_held_frames("coffee", seconds=3.0))
    still = encode_middle_frame(source)
    ((_, of_ben),) = mark_picture_copies(still, [RecipientId("ben")], None, device)
    ((_, of_caro),) = mark_clip_copies(source, [RecipientId("caro")], device)
    originals = OriginalsCache(device.read_picture)
    seen = trace_picture(encode_middle_frame(of_caro.data), device, originals=originals)
    assert (seen.trace.verdict.named, seen.fits, seen.compared) == (("caro",), (), 2)
    assert seen.trace.span is not None
    assert [kept.number for kept in device.ledger.traces()] == [1]

    seen = trace_picture(of_ben.data, device, originals=originals)
    assert (seen.trace.verdict.named, seen.compared) == (("ben",), 2)
    made = disclose_trace(2, of_ben.data, device, None, blind=False)
    repeated = check_report(ReportInputs(made.file, of_ben.data, still), read_picture)
    assert (repeated.report.given.compared, repeated.program_differences) == (2, {})

    unmarked = trace_picture(still, device, originals=originals)
    assert unmarked.trace.verdict.finding is Finding.NOBODY
    assert (unmarked.trace.span, len(unmarked.fits)) == (None, 1)


@pytest.fixture(scope="module")
def sound_in_seven_messages() -> tuple[Device, CopiesByName]:
    """Mark one recording in seven messages; return the device, and each person's copy."""
    device, recording, copies = device_for_sounds(), voice_note(2, 6.0), {}
    for recipient in SEPARATE_RECIPIENTS:
        ((_, copy),) = mark_sound_copies(recording, [RecipientId(recipient)], device)
        copies[recipient] = copy.data
    return device, copies


def test_a_recording_in_seven_messages_is_weighed_for_all(
    sound_in_seven_messages: tuple[Device, CopiesByName],
) -> None:
    device, copies = sound_in_seven_messages
    for recipient in SEPARATE_RECIPIENTS[:: size(3, 1)]:
        trace = trace_sound(copies[recipient], device)
        assert (trace.verdict.named, trace.compared) == ((recipient,), len(SEPARATE_RECIPIENTS))


def test_merged_copies_of_two_messages_name_both(
    sound_in_seven_messages: tuple[Device, CopiesByName],
) -> None:
    device, copies = sound_in_seven_messages
    one, other = (np.asarray(read_sound(copies[recipient]))[:, 0] for recipient in ("caro", "hugo"))
    shared = min(one.size, other.size)
    merged = coded((one[:shared] + other[:shared]) / 2, 48_000, "pcm_s16le", "wav", 0)
    trace = trace_sound(merged, device)
    (part,) = trace.others
    assert {trace.verdict.named, part.verdict.named} == {("caro",), ("hugo",)}
    assert part.warp is None
