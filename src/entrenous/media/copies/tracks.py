"""Decode a clip or a sound completely, and check that its packets contain only frames."""

import io
from collections.abc import Iterator
from typing import Any, Final

import av

from entrenous.media.copies.cursor import NotACopy, require
from entrenous.media.copies.sound_structure import FLAC_HEADER_BYTES

_STRICT_DECODING: Final = {"err_detect": "crccheck+bitstream+buffer+explode"}
_PACKETS_PER_HEARTBEAT: Final = 64
_DEMUXER_AND_CODECS: Final = {
    "video/mp4": ("mov", {"h264", "aac"}),
    "audio/mp4": ("mov", {"aac"}),
    "audio/ogg": ("ogg", {"opus", "libopus"}),
    "audio/mpeg": ("mp3", {"mp3", "mp3float"}),
    "audio/amr": ("amr", {"amrnb", "libopencore_amrnb"}),
    "audio/wav": ("wav", {"pcm_s16le", "pcm_s24le"}),
    "audio/flac": ("flac", {"flac"}),
}


def check_decoding(untrusted_data: bytes, media_type: str) -> Iterator[None]:
    """Decode all frames of a clip or sound; yields a heartbeat every few packets.

    Raises:
        NotACopy.
    """
    demuxer, codecs = _DEMUXER_AND_CODECS[media_type]
    try:
        opened: Any = av.open(io.BytesIO(untrusted_data), format=demuxer)
        with opened as container:
            streams = list(container.streams)
            for stream in streams:
                require(stream.codec_context is not None and stream.codec_context.name in codecs)
                stream.codec_context.thread_count = 1  # the sandbox forbids threads
                stream.codec_context.options = dict(_STRICT_DECODING)
            yield from _decode_all_frames(container, streams)
        if media_type == "audio/flac":
            yield from _check_flac_frames(untrusted_data)
    except NotACopy:
        raise
    except Exception as error:  # libraries raise many types of errors
        raise NotACopy from error


def _decode_all_frames(container: Any, streams: list[Any]) -> Iterator[None]:
    taken, given = dict.fromkeys(range(len(streams)), 0), dict.fromkeys(range(len(streams)), 0)
    for number, packet in enumerate(container.demux(streams)):
        place = packet.stream.index
        taken[place] += bool(packet.size)
        for frame in packet.decode():
            require(not frame.is_corrupt)
            given[place] += 1
        if number % _PACKETS_PER_HEARTBEAT == 0:
            yield
    for stream in streams:
        require(given[stream.index])
        require(stream.type != "video" or given[stream.index] == taken[stream.index])


def _check_flac_frames(untrusted_data: bytes) -> Iterator[None]:
    """Check that the frames fill the file, and that none has unneeded bytes at its end."""
    opened: Any = av.open(io.BytesIO(untrusted_data), format="flac")
    with opened as container:
        stream = container.streams.audio[0]
        size = 0
        for number, packet in enumerate(container.demux(stream)):
            if not packet.size:
                continue
            size += packet.size
            require(not _can_decode_flac(bytes(packet)[:-1], stream.codec_context.extradata))
            if number % _PACKETS_PER_HEARTBEAT == 0:
                yield
    require(size == len(untrusted_data) - FLAC_HEADER_BYTES)


def _can_decode_flac(frame: bytes, head: bytes) -> bool:
    context = av.CodecContext.create("flac", "r")
    context.extradata, context.thread_count = head, 1
    context.options = dict(_STRICT_DECODING)
    try:
        return bool(context.decode(av.Packet(frame)))
    except av.FFmpegError:
        return False
