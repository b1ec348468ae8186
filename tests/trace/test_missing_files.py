"""Tests of traces when files are missing from the vault, or damaged."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from entrenous.base.identifiers import RecipientId
from entrenous.crypto.nouns import DecryptionFailed
from entrenous.device.device import Device
from entrenous.media.sound_reader import read_sound
from entrenous.send.copies.mark_clip import mark_clip_copies
from entrenous.send.copies.mark_file import mark_picture_copies
from entrenous.send.copies.sound_copies import mark_sound_copies
from entrenous.trace.picture import trace_picture
from entrenous.trace.trace_file import trace_file
from entrenous.watermark.verdict import Finding
from tests.clips import encode_clip, hand_held_frames
from tests.send.sounds import device_for_sounds
from tests.trace.test_clip import encode_screenshot, offline_device
from tests.trace.test_sound import voice_note
from tests.trace.traced_leak import coffee_photo, encode_jpeg, mark_and_trace

pytestmark = pytest.mark.slow

BEN, CARO = RecipientId("ben"), RecipientId("caro")


def test_trace_says_that_nothing_could_be_compared() -> None:
    """The trace skips a damaged file in the same way as a missing file."""

    def raise_decryption_failed(_: object) -> bytes:
        raise DecryptionFailed

    seen = mark_and_trace(("ben", "caro"), "caro")
    (message,) = seen.device.ledger.messages()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seen.device.vault, "read_stored_file", raise_decryption_failed)
        assert trace_picture(seen.leak, seen.device).trace.lost == (message.id,)
    seen.device.vault.delete_file(message.pictures[0].original)
    traced = trace_file(seen.leak, seen.device)
    assert traced.trace.verdict.finding is Finding.NOBODY
    assert (traced.trace.compared, traced.trace.lost) == (0, (message.id,))
    assert traced.lost == (message.name,)
    assert seen.device.ledger.traces()[-1] == traced.trace


def test_a_message_stays_traceable_if_another_messages_file_is_missing() -> None:
    device = offline_device()
    ((of_ben, _),) = mark_picture_copies(encode_jpeg(coffee_photo(), 95), [BEN], None, device)
    ((_, copy),) = mark_picture_copies(encode_jpeg(coffee_photo(), 95), [CARO], None, device)
    gone = device.ledger.message_named(of_ben)
    device.vault.delete_file(gone.pictures[0].original)
    trace = trace_picture(copy.data, device).trace
    assert (trace.verdict.named, trace.compared, trace.lost) == ((CARO,), 1, (gone.id,))


@pytest.mark.parametrize(
    "deleted_file", ["survey", pytest.param("original", marks=pytest.mark.nightly)]
)
def test_a_missing_clip_file_does_not_stop_other_traces(deleted_file: str) -> None:
    device, frames = offline_device(), hand_held_frames("coffee", seconds=1.0)
    mark = encode_jpeg(coffee_photo(), 95)
    ((_, clip),) = mark_clip_copies(encode_clip(frames), [BEN], device)
    ((_, still),) = mark_picture_copies(mark, [CARO], None, device)
    gone = next(one for one in device.ledger.messages() if one.clips)
    device.vault.delete_file(getattr(gone.clips[0], deleted_file))

    slope = np.tile(np.arange(200, dtype=np.uint8)[:, None], (120, 1, 3))
    stranger = trace_picture(encode_jpeg(Image.fromarray(slope)), device).trace
    assert stranger.verdict.finding is Finding.NOBODY
    # The missing clip might have matched.
    assert stranger.lost == ((gone.id,) if deleted_file == "survey" else ())
    assert trace_picture(still.data, device).trace.verdict.named == (CARO,)
    for found in (clip.data, encode_screenshot(frames[6], 95)):
        trace = trace_file(found, device).trace
        assert (trace.verdict.finding, trace.lost) == (Finding.NOBODY, (gone.id,))


@pytest.mark.parametrize("deleted_file", ["contour", "original"])
def test_a_missing_sound_file_does_not_stop_other_traces(deleted_file: str) -> None:
    device = replace(device_for_sounds(), read_sound=read_sound)
    made = {
        who: next(mark_sound_copies(voice_note(seed, 6.0), [who], device))
        for seed, who in enumerate((BEN, CARO))
    }
    gone = device.ledger.message_named(made[BEN][0])
    device.vault.delete_file(getattr(gone.sounds[0], deleted_file))
    trace = trace_file(made[CARO][1].data, device).trace
    assert (trace.verdict.named, trace.lost) == ((CARO,), (gone.id,))
    trace = trace_file(made[BEN][1].data, device).trace
    assert (trace.verdict.finding, trace.lost) == (Finding.NOBODY, (gone.id,))


def test_all_files_missing_is_not_reported_as_nothing_sent() -> None:
    device: Device = device_for_sounds()
    ((_, copy),) = mark_sound_copies(voice_note(1, 6.0), [BEN], device)
    (message,) = device.ledger.messages()
    device.vault.delete_file(message.sounds[0].contour)
    assert trace_file(copy.data, device).lost == (message.name,)
