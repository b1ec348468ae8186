"""The right copy is named for a clip or recording in several messages, or with a still of it."""

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
from tests.trace.test_clip import offline_device, shot_of
from tests.trace.test_sound import note

pytestmark = pytest.mark.slow

EACH_ALONE = ("ben", "caro", "dina", "eve", "finn", "gaby", "hugo")
Copies = dict[str, bytes]


def middle_of(clip: bytes) -> bytes:
    frames = decode_frames(clip)
    return shot_of(frames[len(frames) // 2], 95)


@pytest.fixture(scope="module")
def clip_twice() -> tuple[Device, Copies]:
    """Send one clip in two messages, to ben and to caro; return the device and both copies."""
    device, source, copies = (
        offline_device(),
        encode_clip(hand_held_frames("coffee", seconds=3.0)),
        {},
    )
    for who in ("ben", "caro"):
        ((_, copy),) = mark_clip_copies(source, [RecipientId(who)], device)
        copies[who] = copy.data
    return device, copies


@pytest.mark.parametrize(
    ("who", "by"),
    [
        *(("ben", "a frame"), ("caro", "the clip")),
        pytest.param("ben", "the clip", marks=pytest.mark.nightly),
        pytest.param("caro", "a frame", marks=pytest.mark.nightly),
    ],
)
def test_a_clip_in_two_messages_is_weighed_for_both(
    clip_twice: tuple[Device, Copies], who: str, by: str
) -> None:
    device, copies = clip_twice
    messages = {one.clips[0].copies[0].to: one.name for one in device.ledger.messages()}
    shot = middle_of(copies[who])
    if by == "the clip":
        trace: Trace | None = trace_clip(copies[who], device)
    else:
        trace = trace_frame(read_picture(shot), shot, device)
    assert trace is not None
    assert trace.verdict.named == (who,)
    assert trace.message == messages[RecipientId(who)]
    assert (trace.compared, trace.others) == (2, ())


@pytest.mark.nightly
def test_each_message_keeps_its_own_survey_of_the_clip(clip_twice: tuple[Device, Copies]) -> None:
    """Surveys may differ after a move to another device with other rounding."""
    device, copies = clip_twice
    message = next(one for one in device.ledger.messages() if one.clips[0].copies[0].to == "caro")
    (clip,) = message.clips
    survey = unpack(ClipMeasurements, device.vault.read_stored_file(clip.survey))
    other = replace(survey, thumbs=bytes([survey.thumbs[0] ^ 1]) + survey.thumbs[1:])
    anew = replace(clip, survey=device.vault.store_file(pack(other)))
    device.ledger.store_message(replace(message, clips=(anew,)))
    (candidate,) = clip_candidates(device, MissingFiles())
    assert len({candidate.survey_sha256, *(one.survey_sha256 for one in candidate.others)}) == 2
    shot = middle_of(copies["caro"])
    trace = trace_frame(read_picture(shot), shot, device)
    assert trace is not None
    assert trace.verdict.named == ("caro",)


def test_a_clip_is_found_though_a_still_of_it_was_sent_too() -> None:
    """The still went to ben, the clip to caro; all copies count for either trace."""
    device, source = offline_device(), encode_clip(hand_held_frames("coffee", seconds=3.0))
    still = middle_of(source)
    ((_, of_ben),) = mark_picture_copies(still, [RecipientId("ben")], None, device)
    ((_, of_caro),) = mark_clip_copies(source, [RecipientId("caro")], device)
    originals = OriginalsCache(device.read_picture)
    seen = trace_picture(middle_of(of_caro.data), device, originals=originals)
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
def sound_often() -> tuple[Device, Copies]:
    """Send one recording in seven messages; return the device, and each person's copy."""
    device, recording, copies = device_for_sounds(), note(2, 6.0), {}
    for who in EACH_ALONE:
        ((_, copy),) = mark_sound_copies(recording, [RecipientId(who)], device)
        copies[who] = copy.data
    return device, copies


def test_a_recording_in_seven_messages_is_weighed_for_all(
    sound_often: tuple[Device, Copies],
) -> None:
    device, copies = sound_often
    for who in EACH_ALONE[:: size(3, 1)]:
        trace = trace_sound(copies[who], device)
        assert (trace.verdict.named, trace.compared) == ((who,), len(EACH_ALONE))


def test_merged_copies_name_both_messages(sound_often: tuple[Device, Copies]) -> None:
    device, copies = sound_often
    one, other = (np.asarray(read_sound(copies[who]))[:, 0] for who in ("caro", "hugo"))
    shared = min(one.size, other.size)
    merged = coded((one[:shared] + other[:shared]) / 2, 48_000, "pcm_s16le", "wav", 0)
    trace = trace_sound(merged, device)
    (part,) = trace.others
    assert {trace.verdict.named, part.verdict.named} == {("caro",), ("hugo",)}
    assert part.warp is None
