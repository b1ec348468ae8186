"""Tests of the picture decoder's messages: valid, changed and invalid answers, and the ready
message.
"""

import io
import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.errors import EntrenousError, Malformed
from entrenous.base.picture import (
    IncompletePicture,
    NotAPicture,
    OriginalSize,
    Picture,
    PictureDecodingFailed,
    PictureEncoding,
    PictureFormat,
    TooManyPixels,
)
from entrenous.media.icc_profile import MatrixProfile, write_profile
from entrenous.media.sandbox.confinement import Confinement
from entrenous.media.sandbox.decoder_messages import (
    read_picture_answer,
    read_ready_message,
    write_picture_answer,
    write_picture_failure,
    write_ready_message,
)

SAMPLE_PROFILE = write_profile(
    MatrixProfile(4, (bytes(12),) * 3, (b"curv" + bytes(8),) * 3, bytes(12), bytes(36))
)
quantization_tables = st.binary(min_size=128, max_size=128).map(
    lambda noise: tuple(number or 1 for number in struct.unpack(">64H", noise))
)
encodings = st.builds(
    PictureEncoding,
    st.sampled_from(PictureFormat),
    st.booleans(),
    st.none()
    | st.fixed_dictionaries({0: quantization_tables})
    | st.fixed_dictionaries({0: quantization_tables, 1: quantization_tables}),
    st.sampled_from([None, "4:4:4", "4:2:2", "4:2:0"]),
    st.booleans(),
)


@st.composite
def pictures(draw: st.DrawFn) -> Picture:
    width, height = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    pixels = width * height
    samples = draw(st.binary(min_size=pixels * 3, max_size=pixels * 3))
    alpha = draw(st.none() | st.binary(min_size=pixels, max_size=pixels))
    profile = draw(st.sampled_from([None, SAMPLE_PROFILE]))
    return Picture(width, height, samples, draw(encodings), alpha, profile)


def read_answer(data: bytes, kind: PictureFormat) -> Picture:
    stream = io.BytesIO(data)

    def read(size: int) -> bytes:
        part = stream.read(size)
        if len(part) != size:
            raise EOFError
        return part

    picture = read_picture_answer(read, kind)
    assert stream.read() == b""
    return picture


@given(pictures())
def test_written_answer_is_read_back_as_the_same_picture(picture: Picture) -> None:
    assert read_answer(b"".join(write_picture_answer(picture)), picture.encoding.format) == picture


@pytest.mark.parametrize("kind", [NotAPicture, IncompletePicture, PictureDecodingFailed])
def test_written_failure_is_raised_as_the_same_error(kind: type[EntrenousError]) -> None:
    with pytest.raises(kind):
        read_answer(write_picture_failure(kind()), PictureFormat.PNG)


def test_too_many_pixels_is_raised_with_the_size() -> None:
    failure = TooManyPixels(width_px=2**40, height_px=7, limit_mp=120)
    with pytest.raises(TooManyPixels, match="4294967295 x 7 pixels"):
        read_answer(write_picture_failure(failure), PictureFormat.PNG)


@given(pictures(), st.integers(0, 60), st.integers(0, 255))
def test_changed_answer_gives_a_picture_or_an_expected_error(
    picture: Picture, at: int, value: int
) -> None:
    data = bytearray(b"".join(write_picture_answer(picture)))
    data[min(at, len(data) - 1)] = value
    try:
        read_answer(bytes(data), picture.encoding.format)
    except (ValueError, EOFError, AssertionError, Malformed):
        return


@given(st.binary(max_size=200))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises((ValueError, EOFError, AssertionError, Malformed)):
        read_answer(noise, PictureFormat.JPEG)


def test_luma_only_answer_is_refused_unless_requested_for_a_jpeg() -> None:
    luma = Picture(2, 2, b"abcd", PictureEncoding(PictureFormat.JPEG, grey=True))
    answer = b"".join(write_picture_answer(luma))
    assert read_picture_answer(io.BytesIO(answer).read, PictureFormat.JPEG, luma=True) == luma
    with pytest.raises(ValueError, match="a flag is neither 0 nor 1"):
        read_picture_answer(io.BytesIO(answer).read, PictureFormat.JPEG)
    other = b"".join(
        write_picture_answer(replace(luma, encoding=PictureEncoding(PictureFormat.PNG, grey=True)))
    )
    with pytest.raises(ValueError, match="a flag is neither 0 nor 1"):
        read_picture_answer(io.BytesIO(other).read, PictureFormat.PNG, luma=True)


def test_original_size_is_read_back_and_validated() -> None:
    encoding = PictureEncoding(PictureFormat.JPEG)
    shrunk = Picture(2, 1, b"abcdef", encoding, original_size=OriginalSize(7, 4, from_below=True))
    data = bytearray(b"".join(write_picture_answer(shrunk)))
    assert read_answer(bytes(data), PictureFormat.JPEG) == shrunk
    assert shrunk.shrunk_by == 4
    lies = {"by 1, 2, 4 or 8": (16, 5), "flag": (17, 2), "impossible": (9, 255)}
    for why, (at, lie) in lies.items():
        lied = data.copy()
        lied[at] = lie
        with pytest.raises(ValueError, match=why):
            read_answer(bytes(lied), PictureFormat.JPEG)
    png = replace(
        Picture(1, 1, b"abc", PictureEncoding(PictureFormat.PNG)), original_size=OriginalSize(2, 2)
    )
    with pytest.raises(ValueError, match="only a JPEG"):
        read_answer(b"".join(write_picture_answer(png)), PictureFormat.PNG)


def test_picture_of_another_format_is_refused() -> None:
    picture = Picture(1, 1, b"abc", PictureEncoding(PictureFormat.PNG))
    with pytest.raises(ValueError, match="another format"):
        read_answer(b"".join(write_picture_answer(picture)), PictureFormat.JPEG)


def test_profile_with_text_is_refused() -> None:
    encoding = PictureEncoding(PictureFormat.PNG)
    for profile in (
        SAMPLE_PROFILE + b"SPY!",
        SAMPLE_PROFILE.replace(b"C\0C\x000", b"S\0P\0Y"),
        b"SPY",
    ):
        picture = replace(Picture(1, 1, b"abc", encoding), profile=profile)
        with pytest.raises(ValueError, match="more than its colour numbers"):
            read_answer(b"".join(write_picture_answer(picture)), PictureFormat.PNG)


def test_impossible_size_is_refused_before_the_samples_are_read() -> None:
    data = bytearray(
        b"".join(write_picture_answer(Picture(1, 1, b"abc", PictureEncoding(PictureFormat.PNG))))
    )
    data[1:9] = b"\0\1\0\0\0\1\0\0"
    with pytest.raises(ValueError, match="impossible size"):
        read_answer(bytes(data), PictureFormat.PNG)


def test_ready_message_is_read_back_and_wrong_ones_are_refused() -> None:
    confinement = Confinement.LIMITS | Confinement.SYSTEM_CALLS
    assert read_ready_message(io.BytesIO(write_ready_message(confinement)).read) == confinement
    for wrong in (b"X\x01", b"R\xff"):
        with pytest.raises(ValueError, match="something else"):
            read_ready_message(io.BytesIO(wrong).read)
