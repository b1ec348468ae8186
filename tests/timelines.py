"""Clips with a simultaneous flash and beep, and functions that delay them and measure delays."""

import io
from collections.abc import Collection
from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from bench.sounds.material import voice
from tests.clips import encode_clip, hand_held_frames

FLASH_S = 2.0
RATE_HZ = 48_000
FPS = 6
BEEP_S = 0.1  # duration of the beep


def flash_and_beep(
    seconds: float = 4.0,
    *,
    size: tuple[int, int] = (320, 240),
    codec: str = "aac",
    container: str = "mp4",
) -> bytes:
    """Return a clip with a synthetic voice, and with a flash and a beep at ``FLASH_S``."""
    frames = hand_held_frames(size=size, seconds=seconds, fps=FPS)
    for number in range(round(FLASH_S * FPS), round((FLASH_S + 2 * BEEP_S) * FPS)):
        frames[number] = np.full_like(frames[number], 255)
    sound = 0.3 * voice(seconds, RATE_HZ)
    sample_numbers = np.arange(round(BEEP_S * RATE_HZ))
    start = round(FLASH_S * RATE_HZ)
    sound[start : start + len(sample_numbers)] = 0.9 * np.sin(
        2.0 * np.pi * 2000.0 * sample_numbers / RATE_HZ
    )
    return _add_sound(encode_clip(frames, fps=FPS), sound.astype(np.float32), codec, container)


def delay_streams(  # noqa: PLR0913 - each parameter changes one property
    data: bytes,
    *,
    container: str = "mp4",
    picture_s: float = 0.0,
    sound_s: float = 0.0,
    lost_packets: Collection[int] = (),
    first_late_packet: int = 1,
    lateness_s: float = 0.0,
    **options: str,
) -> bytes:
    """Return a clip with its picture delayed by ``picture_s`` and its sound by ``sound_s``.

    Sound packets are numbered from 1. Packets in ``lost_packets`` are left out. Packets from number
    ``first_late_packet`` on are delayed by ``lateness_s`` more.
    """
    file = io.BytesIO()
    with (
        av.open(io.BytesIO(data)) as old,
        av.open(file, "w", format=container, options=options) as out,
    ):
        streams: Any = {one.index: out.add_stream_from_template(one) for one in old.streams}
        sound_packet_number = 0
        for packet in old.demux():
            if packet.dts is None or packet.pts is None:
                continue
            is_sound = packet.stream.type == "audio"
            sound_packet_number += is_sound
            if is_sound and sound_packet_number in lost_packets:
                continue
            delay_s = (
                sound_s + lateness_s * (sound_packet_number >= first_late_packet)
                if is_sound
                else picture_s
            )
            delay = round(delay_s / packet.time_base)
            packet.pts, packet.dts = packet.pts + delay, packet.dts + delay
            packet.stream = streams[packet.stream_index]
            out.mux(packet)
    return file.getvalue()


def beep_after_flash_s(data: bytes) -> float:
    """Return the seconds from the first white frame to the start of the beep."""
    with av.open(io.BytesIO(data)) as clip:
        white = next(
            frame.time
            for frame in clip.decode(video=0)
            if frame.to_ndarray(format="gray").mean() > 220
        )
    with av.open(io.BytesIO(data)) as clip:
        beep = next(
            frame.time + int(loud[0]) / frame.sample_rate
            for frame in clip.decode(audio=0)
            if len(loud := np.flatnonzero(np.abs(frame.to_ndarray()).max(axis=0) > 0.5))
        )
    return float(beep - white)


def _add_sound(frames: bytes, sound: NDArray[np.float32], codec: str, container: str) -> bytes:
    file = io.BytesIO()
    with av.open(io.BytesIO(frames)) as old, av.open(file, "w", format=container) as out:
        picture: Any = out.add_stream_from_template(old.streams.video[0])
        sound_stream: Any = out.add_stream(codec, rate=RATE_HZ, layout="mono")
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = picture
                out.mux(packet)
        part = sound_stream.codec_context.frame_size or 1024
        for start in range(0, len(sound), part):
            samples = np.ascontiguousarray(sound[None, start : start + part])
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            frame.rate, frame.pts, frame.time_base = RATE_HZ, start, Fraction(1, RATE_HZ)
            out.mux(sound_stream.encode(frame))
        out.mux(sound_stream.encode())
    return file.getvalue()
