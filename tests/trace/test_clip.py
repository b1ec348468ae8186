"""Tests of marking and tracing clips: excerpts, screenshots, originals, and unrelated clips."""

import io
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from PIL import Image

from entrenous.base.audio_video import Frame, NoVideoFound
from entrenous.base.identifiers import RecipientId
from entrenous.base.limits import FALSE_NAMING_CHANCE_MAX
from entrenous.device.device import Device
from entrenous.device.store.ledger import VaultLedger
from entrenous.media.clip_reader import read_clip
from entrenous.media.picture_reader import read_picture
from entrenous.media.sound_reader import read_sound
from entrenous.send.copies.mark_clip import mark_clip_copies
from entrenous.trace.clip import trace_clip
from entrenous.trace.clip_frame import trace_frame
from entrenous.watermark.verdict import Finding, NothingToWeigh, Trace
from tests.clips import Rgb, decode_frames, encode_clip, hand_held_frames, sound_only_clip
from tests.deterministic import SeededRandomSource, SettableClock
from tests.in_memory.vault import MemoryVault
from tests.village.relay import relay_with_courier
from tests.village.world import RELAY_URL

pytestmark = pytest.mark.slow

RECIPIENTS = [RecipientId(name) for name in ("ben", "caro")]
MarkedClip = tuple[Device, bytes, dict[str, bytes]]


def offline_device() -> Device:
    clock, rng, vault = SettableClock(), SeededRandomSource("ana"), MemoryVault()
    courier = relay_with_courier(RELAY_URL, clock, SeededRandomSource("relay"))[1]
    ledger = VaultLedger(vault)
    return Device(
        clock,
        rng,
        vault,
        ledger,
        courier,
        read_picture,
        read_clip=read_clip,
        read_sound=read_sound,
    )


@pytest.fixture(scope="module")
def marked_clip() -> MarkedClip:
    device, source = offline_device(), encode_clip(hand_held_frames("coffee", seconds=3.0))
    made = mark_clip_copies(source, RECIPIENTS, device)
    return device, source, {copy.to: copy.data for _, copy in made}


def encode_screenshot(frame: Rgb, quality: int = 80) -> bytes:
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "JPEG", quality=quality)
    return file.getvalue()


def trace_screenshot(data: bytes, device: Device) -> Trace | None:
    return trace_frame(read_picture(data), data, device)


def test_a_copy_looks_like_its_original(marked_clip: MarkedClip) -> None:
    _, source, copies = marked_clip
    with read_clip(copies["ben"]) as copy, read_clip(source) as original:
        error = mean_squared_error(copy.frames, original.frames)
    # Luma spans only 219 of the 255 levels. 43.3 dB for 255 levels equal 42 dB for 219 levels.
    assert 10.0 * np.log10(255.0**2 / error) > 43.3
    pairs = zip(decode_frames(copies["ben"]), decode_frames(source), strict=True)
    shown = np.mean([np.mean((a.astype(float) - b) ** 2) for a, b in pairs])
    assert 10.0 * np.log10(255.0**2 / shown) > 42.0


def mean_squared_error(frames: Iterator[Frame], other_frames: Iterator[Frame]) -> float:
    pairs = zip(frames, other_frames, strict=True)
    return float(np.mean([np.mean((np.asarray(a).astype(float) - b) ** 2) for a, b in pairs]))


def test_a_cropped_slower_smaller_excerpt_names_its_copy(marked_clip: MarkedClip) -> None:
    device, _, copies = marked_clip
    part = [frame[10:230, 8:306] for frame in decode_frames(copies["caro"])[6:33]]
    small = [cv2.resize(frame, (240, 178), interpolation=cv2.INTER_AREA) for frame in part]
    trace = trace_clip(encode_clip(small, fps=11, crf="26"), device)
    assert trace.verdict.named == ("caro",)
    assert (
        trace.verdict.chance[RECIPIENTS[1]]
        <= FALSE_NAMING_CHANCE_MAX
        < trace.verdict.chance[RECIPIENTS[0]]
    )
    assert trace.span is not None
    assert trace.span.start_s == pytest.approx(0.5, abs=0.15)
    assert trace.span.speed == pytest.approx(11 / 12, abs=0.04)
    assert trace.warp is not None
    assert trace.warp.kept == pytest.approx(0.854, abs=0.03)


def test_one_screenshot_names_its_copy(marked_clip: MarkedClip) -> None:
    device, _, copies = marked_clip
    number = 27
    trace = trace_screenshot(encode_screenshot(decode_frames(copies["ben"])[number]), device)
    assert trace is not None
    assert trace.verdict.named == ("ben",)
    assert trace.span is not None
    assert trace.span.start_s == pytest.approx(number / 12, abs=0.1)
    assert trace.span.length_s == 0.0


def test_the_unmarked_original_names_nobody(marked_clip: MarkedClip) -> None:
    device, source, _ = marked_clip
    shot = trace_screenshot(encode_screenshot(decode_frames(source)[20]), device)
    assert shot is not None
    assert shot.verdict.finding is Finding.NOBODY
    assert shot.message is not None


def test_an_unrelated_clip_matches_no_message(marked_clip: MarkedClip) -> None:
    device, _, _ = marked_clip
    other = hand_held_frames("astronaut", seconds=0.5)
    assert trace_clip(encode_clip(other), device).message is None
    assert trace_screenshot(encode_screenshot(other[3]), device) is None


def test_a_clip_cannot_be_traced_before_anything_was_sent() -> None:
    data = encode_clip(hand_held_frames("coffee", seconds=0.5))
    with pytest.raises(NothingToWeigh):
        trace_clip(data, offline_device())
    assert (
        trace_screenshot(
            encode_screenshot(hand_held_frames("coffee", seconds=0.2)[0]), offline_device()
        )
        is None
    )


def test_file_without_frames_is_refused_and_nothing_is_stored() -> None:
    device = offline_device()
    with pytest.raises(NoVideoFound):
        next(mark_clip_copies(sound_only_clip(), RECIPIENTS, device))
    with pytest.raises(NoVideoFound):
        trace_clip(sound_only_clip(), device)
    assert list(device.ledger.messages()) == []
