"""What is registered of a file, whatever it holds: a picture, a video with its sound, or a sound.

All of it happens on the person's own device.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from entrenous.craft.fingerprint.embedding.squares import square
from entrenous.craft.fingerprint.parts import part_hashes
from entrenous.craft.fingerprint.picture import fingerprint, seen_pixels
from entrenous.craft.fingerprint.reel.pace import REGISTERED
from entrenous.craft.fingerprint.sound.chroma import RATE_HZ
from entrenous.craft.media.kind import medium_of
from entrenous.model.clip import FramesUnknown, NoFrames
from entrenous.model.embedding import Embedding, LacksEmbedding
from entrenous.model.fingerprint import TooFlat
from entrenous.model.medium import Medium
from entrenous.model.picture import Picture
from entrenous.model.print import (
    ClipPrint,
    PicturePrint,
    Print,
    SoundPrint,
    SoundTooQuiet,
    VideoPrint,
    VideoTooFlat,
)
from entrenous.model.protection import Consent, OnlySound, TooYoung
from entrenous.model.sound import NotASound, SoundBroken, SoundTooLong
from entrenous.ports import Device
from entrenous.spec import PDQ_QUALITY_MIN


def print_of(untrusted_data: bytes, consent: Consent, device: Device) -> Print:
    """The fingerprints of what these bytes hold; they decide what that is, and no name.

    A GIF is registered as a picture, by its first frame. Of a video in which no moment can be told
    apart, the sound is registered alone.

    Raises:
        TooYoung: somebody under 18; points to NCMEC's Take It Down.
        TooFlat, VideoTooFlat, SoundTooQuiet: there is too little in it to be told apart.
        LacksEmbedding: an embedding of a picture was agreed to, and this device has no network.
        OnlySound: it is a sound, and sound is to be left out.
        What ``read_picture``, ``read_clip`` and ``read_sound`` raise.
    """
    if not consent.adult:
        raise TooYoung
    medium = medium_of(untrusted_data)
    if medium is Medium.PICTURE:
        return picture_print(device.read_picture(untrusted_data), consent, device)
    if medium is Medium.CLIP:
        try:
            return _clip(untrusted_data, consent, device)
        except FramesUnknown:
            raise  # its sound alone is not what was asked for
        except NoFrames:
            pass  # these containers may hold a sound alone
    if not consent.sound:
        raise OnlySound
    return _sound(untrusted_data, device)


def picture_print(picture: Picture, consent: Consent, device: Device) -> PicturePrint:
    """The hash of all of it, and what else was agreed to: hashes of windows of it, an embedding.

    Raises:
        TooFlat: there is too little in it to be told apart.
        LacksEmbedding: this device has no network.
    """
    whole = fingerprint(picture)
    if whole.quality < PDQ_QUALITY_MIN:
        raise TooFlat(quality=whole.quality)
    parts = part_hashes(picture) if consent.parts else ()
    return PicturePrint(whole, parts, _embedding(picture, device) if consent.embedding else None)


def _embedding(picture: Picture, device: Device) -> Embedding:
    if device.embedder is None:
        raise LacksEmbedding
    (embedding,) = device.embedder.embed([square(seen_pixels(picture))])
    return embedding


def _clip(untrusted_data: bytes, consent: Consent, device: Device) -> ClipPrint | SoundPrint:
    try:
        video = _video(untrusted_data, consent, device)
    except VideoTooFlat:
        sound = _heard(untrusted_data, device) if consent.sound else None
        if sound is None:
            raise
        return sound
    return ClipPrint(video, _heard(untrusted_data, device) if consent.sound else None)


def _video(untrusted_data: bytes, consent: Consent, device: Device) -> VideoPrint:
    video_print = _late("entrenous.craft.fingerprint.reel.register:video_print")
    with device.read_clip(untrusted_data, REGISTERED) as clip:
        found: VideoPrint = video_print(clip.frames, clip.shown.length_s, parts=consent.parts)
    return found


def _heard(untrusted_data: bytes, device: Device) -> SoundPrint | None:
    """What is heard in a video; its frames are registered also where that is nothing of use."""
    try:
        return _sound(untrusted_data, device)
    except (NotASound, SoundBroken, SoundTooLong, SoundTooQuiet):
        return None


def _sound(untrusted_data: bytes, device: Device) -> SoundPrint:
    sound = device.read_sound(untrusted_data, RATE_HZ)
    found: SoundPrint = _late("entrenous.craft.fingerprint.sound.register:sound_print")(
        np.asarray(sound), sound.rate_hz
    )
    return found


def _late(place: str) -> Callable[..., Any]:
    """Who registers a picture does not wait for what sounds and videos need."""
    module, _, name = place.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), name)
    return found
