"""Tests of the metadata that is read from pictures, sounds, clips and damaged files."""

import io
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from entrenous.demo.sample_photos import add_position_if_jpeg
from entrenous.media.metadata import FieldKind, Metadata, Place, format_degrees, read_metadata


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F], exif[0x013B], exif[0x0132] = "Example", "Ana Example", "2026:01:02 03:04:05"
    inner = exif.get_ifd(0x8769)
    inner[0xA431], inner[0x927C] = "SN123", b"notes of the maker"
    return exif


def _picture(file_format: str, **more: Any) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 64)).save(file, file_format, **more)
    return file.getvalue()


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_exif_is_read_by_name_in_each_format(file_format: str) -> None:
    metadata = dict(read_metadata(_picture(file_format, exif=_exif())).fields)
    assert metadata[FieldKind.CAMERA] == "Example"
    assert metadata[FieldKind.PERSON] == "Ana Example"
    assert metadata[FieldKind.TIME] == "2026:01:02 03:04:05"
    assert metadata[FieldKind.NUMBER] == "SN123"
    assert FieldKind.MAKER in metadata


def test_a_place_comes_first_and_is_rounded() -> None:
    metadata = read_metadata(add_position_if_jpeg(_picture("JPEG")))
    assert metadata.place is not None
    assert metadata.place.longitude == pytest.approx(-40.0158, abs=1e-3)
    assert metadata.fields[0] == (FieldKind.PLACE, "30.00° N, 40.02° W")


def test_comments_and_png_texts_are_read_as_words() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("Comment", "at the lake", zip=True)
    assert read_metadata(_picture("PNG", pnginfo=info)).fields == (
        (FieldKind.WORDS, "Comment: at the lake"),
    )
    metadata = read_metadata(_picture("JPEG", comment=b"hello"))
    assert (FieldKind.WORDS, "hello") in metadata.fields


def test_place_and_person_are_read_from_xmp() -> None:
    packet = (
        b'<x exif:GPSLatitude="52,31.2N" exif:GPSLongitude="13,24.6E"><dc:creator><rdf:Seq>'
        b"<rdf:li>Ana</rdf:li></rdf:Seq></dc:creator></x>"
    )
    metadata = read_metadata(_picture("JPEG", xmp=packet))
    assert metadata.fields[0] == (FieldKind.PLACE, "52.52° N, 13.41° E")
    assert (FieldKind.PERSON, "Ana") in metadata.fields


def _sound(file_format: str, codec: str) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=file_format) as out:
        out.metadata["artist"], out.metadata["title"] = "Ana", "note"
        stream: Any = out.add_stream(codec, rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 960 * 4), np.float32), format="flt", layout="mono"
        )
        frame.sample_rate = 48_000
        packed = av.AudioResampler(format=stream.format.name, layout="mono", rate=48_000)
        for one in packed.resample(frame):
            out.mux(stream.encode(one))
        out.mux(stream.encode(None))
    return file.getvalue()


@pytest.mark.parametrize(("file_format", "codec"), [("ogg", "libopus"), ("mp3", "libmp3lame")])
def test_person_and_title_of_a_sound_are_read(file_format: str, codec: str) -> None:
    metadata = read_metadata(_sound(file_format, codec)).fields
    assert (FieldKind.PERSON, "Ana") in metadata
    assert (FieldKind.WORDS, "note") in metadata


def test_place_and_camera_of_a_clip_are_read() -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4", options={"movflags": "use_metadata_tags"}) as out:
        out.metadata["com.apple.quicktime.location.ISO6709"] = "+52.5200+013.4050/"
        out.metadata["make"] = "Example"
        stream: Any = out.add_stream("libx264", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        grey = np.zeros((64, 64, 3), np.uint8)
        out.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        out.mux(stream.encode(None))
    metadata = read_metadata(file.getvalue())
    assert metadata.place == Place(52.52, 13.405)
    assert (FieldKind.CAMERA, "Example") in metadata.fields


def test_damaged_and_unknown_files_raise_no_error() -> None:
    whole = _picture("JPEG", exif=_exif())
    for size in range(0, len(whole), 7):
        assert isinstance(read_metadata(whole[:size]), Metadata)
    assert read_metadata(b"neither picture nor sound") == Metadata(())


def test_fields_before_a_damaged_compressed_text_are_read() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Author", "Ana Example")
    info.add_text("Comment", "at the lake", zip=True)
    whole = _picture("PNG", pnginfo=info)
    text_at = whole.index(b"Comment\0\0") + len(b"Comment\0\0")
    damaged = whole[:text_at] + b"\0" + whole[text_at + 1 :]
    assert read_metadata(damaged).fields == ((FieldKind.WORDS, "Author: Ana Example"),)


def test_degrees_name_the_hemisphere() -> None:
    assert format_degrees(Place(-33.868, 151.209)) == "33.87° S, 151.21° E"
