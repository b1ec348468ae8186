"""Small pictures and plain sounds for the person's own screen, made from decoded samples."""

import io
import wave
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from entrenous.base.audio_video import Frame, Sound
from entrenous.base.picture import Picture
from entrenous.media.picture_writer import image_of
from entrenous.media.resize import shrink_picture

_JPEG_QUALITY: Final = 85
_FULL_SCALE: Final = 32767.0
Pixels = NDArray[np.uint8]


def small_jpeg(picture: Picture, longest_side_px: int) -> bytes:
    """Return a JPEG of a picture on white, scaled down to at most this longest side."""
    image = image_of(shrink_picture(picture, longest_side_px))
    if image.mode in {"RGBA", "LA"}:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return encode_jpeg(image, picture.profile)


def frame_jpeg(frame: Frame) -> bytes:
    """Return a JPEG of one frame of a clip."""
    luma = np.asarray(frame)
    across, down = frame.width_px // 2, frame.height_px // 2
    chroma = np.frombuffer(frame.planes, np.uint8, offset=luma.size).reshape(2, down, across)
    planes = [_full_range(luma, 16.0, 219.0)]
    planes += [_full_range(one, 16.0, 224.0) for one in chroma]
    bands = [Image.fromarray(one).resize((frame.width_px, frame.height_px)) for one in planes]
    return encode_jpeg(Image.merge("YCbCr", bands))


def _full_range(plane: Pixels, low: float, span: float) -> Pixels:
    """Convert the limited range of ITU-R BT.601 to the full range of JFIF."""
    wide = (plane.astype(np.float32) - np.float32(low)) * np.float32(255.0 / span)
    full: Pixels = np.clip(np.rint(wide), 0, 255).astype(np.uint8)
    return full


def encode_jpeg(image: Image.Image, profile: bytes | None = None) -> bytes:
    """Encode an image as a JPEG with no metadata except its colour profile."""
    file = io.BytesIO()
    wanted: dict[str, Any] = {} if profile is None else {"icc_profile": profile}
    plain = image if image.mode in {"L", "YCbCr"} else image.convert("RGB")
    plain.save(file, "JPEG", quality=_JPEG_QUALITY, **wanted)
    return file.getvalue()


def encode_wav(sound: Sound) -> bytes:
    """Return a sound as 16-bit WAV."""
    samples = np.frombuffer(sound.samples, np.float32)
    whole = np.rint(np.clip(samples, -1.0, 1.0) * _FULL_SCALE).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(sound.channels)
        out.setsampwidth(2)
        out.setframerate(sound.rate_hz)
        out.writeframes(whole.tobytes())
    return file.getvalue()


def amplified_difference(first: Pixels, second: Pixels, factor: int) -> Pixels:
    """Return the absolute difference of two pictures of one size, times ``factor``, up to 255."""
    apart = np.abs(first.astype(np.int32) - second.astype(np.int32)) * factor
    capped: Pixels = np.minimum(apart, 255).astype(np.uint8)
    return capped
