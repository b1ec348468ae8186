"""Write a copy of a sound in its original's format, at about its bit rate, without metadata."""

import io
from fractions import Fraction
from typing import Any, Final

import av
import numpy as np
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

from entrenous.base.audio_video import Sound, SoundEncoding, SoundFormat

_AMR_ENCODER: Final = "libopencore_amrnb"
_AMR_BIT_RATES: Final = (4750, 5150, 5900, 6700, 7400, 7950, 10_200, 12_200)  # 3GPP TS 26.071
# Range of bit rates per channel. The lower limits keep a second encoding from sounding worse.
_BIT_RATE_RANGES: Final = {
    SoundFormat.OPUS: (24_000, 256_000),
    SoundFormat.AAC: (48_000, 256_000),
    SoundFormat.MP3: (48_000, 160_000),
}
_MP3_SAMPLE_RATES: Final = (8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_AAC_SAMPLE_RATES: Final = (*_MP3_SAMPLE_RATES, 64_000, 88_200, 96_000)
# Higher efforts take three times as long for Opus and twice as long for LAME, without audible gain
# at these rates.
_ENCODER_EFFORT: Final = {
    SoundFormat.OPUS: {"compression_level": "5"},
    SoundFormat.MP3: {"compression_level": "7"},
}
_PART_SAMPLES: Final = 1 << 16
# otherwise FFmpeg would write its version into the file
_NO_METADATA_MUXER_OPTIONS: Final = {"fflags": "+bitexact", "id3v2_version": "0"}


def written_format(encoding: SoundEncoding) -> SoundFormat:
    """Return the format in which copies are written; AMR becomes AAC if there is no AMR encoder."""
    if encoding.format is SoundFormat.AMR and _AMR_ENCODER not in av.codecs_available:
        return SoundFormat.AAC
    return encoding.format


def write_sound(original: Sound, samples: NDArray[np.float32]) -> bytes:
    """Encode (samples, channels) values, which range from -1 to 1, in the original's format.

    The bit rate is the original's, limited to a range that depends on the format. AMR is always
    mono.
    """
    kind = written_format(original.encoding)
    codec, container, rate, sample_format = _encoder_settings(kind, original)
    layout = "mono" if samples.shape[1] == 1 or kind is SoundFormat.AMR else "stereo"
    file = io.BytesIO()
    with av.open(file, "w", format=container, container_options=_NO_METADATA_MUXER_OPTIONS) as out:
        stream: Any = out.add_stream(
            codec, rate=rate, layout=layout, options=_ENCODER_EFFORT.get(kind)
        )
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        stream.format = sample_format
        bits = _bit_rate(kind, original.encoding, len(stream.layout.channels))
        if bits:
            stream.bit_rate = bits
        resampler = AudioResampler(sample_format, layout, rate, stream.frame_size or None)
        for frame in _to_frames(samples, original.rate_hz):
            for ready in resampler.resample(frame):
                out.mux(stream.encode(ready))
        for ready in resampler.resample(None):
            out.mux(stream.encode(ready))
        out.mux(stream.encode(None))
    return file.getvalue()


def _encoder_settings(kind: SoundFormat, original: Sound) -> tuple[str, str, int, str]:
    """Return encoder, container, rate in Hz and sample format."""
    rate = original.rate_hz
    deep = original.encoding.deep
    depth = "s32" if deep else "s16"
    return {
        SoundFormat.OPUS: ("libopus", "ogg", 48_000, "flt"),
        SoundFormat.AAC: ("aac", "ipod", _lowest_rate_at_least(rate, _AAC_SAMPLE_RATES), "fltp"),
        SoundFormat.MP3: (
            "libmp3lame",
            "mp3",
            _lowest_rate_at_least(rate, _MP3_SAMPLE_RATES),
            "fltp",
        ),
        SoundFormat.AMR: (_AMR_ENCODER, "amr", 8000, "s16"),
        SoundFormat.WAV: (f"pcm_s{24 if deep else 16}le", "wav", rate, depth),
        SoundFormat.FLAC: ("flac", "flac", rate, depth),
    }[kind]


def _bit_rate(kind: SoundFormat, encoding: SoundEncoding, channels: int) -> int:
    if kind is SoundFormat.AMR:
        wanted = encoding.bit_rate or _AMR_BIT_RATES[-1]
        return min(_AMR_BIT_RATES, key=lambda bits: abs(bits - wanted))
    if kind not in _BIT_RATE_RANGES:
        return 0
    least, most = (bits * channels for bits in _BIT_RATE_RANGES[kind])
    return min(max(encoding.bit_rate, least), most)


def _lowest_rate_at_least(rate: int, rates: tuple[int, ...]) -> int:
    """Return the lowest of the rates that is not below ``rate``, or the highest one."""
    return next((one for one in rates if one >= rate), rates[-1])


def _to_frames(samples: NDArray[np.float32], rate_hz: int) -> Any:
    layout = "mono" if samples.shape[1] == 1 else "stereo"
    for start in range(0, len(samples), _PART_SAMPLES):
        part = np.ascontiguousarray(samples[start : start + _PART_SAMPLES], np.float32).reshape(
            1, -1
        )
        frame = av.AudioFrame.from_ndarray(part, format="flt", layout=layout)
        frame.sample_rate = rate_hz
        frame.pts = start
        frame.time_base = Fraction(1, rate_hz)
        yield frame
