"""A network whose devices decode clips and sounds in this process; a draft and files to send."""

from dataclasses import replace
from datetime import timedelta
from functools import cache

from bench.sounds.attacks import coded
from bench.sounds.material import voice
from entrenous.base.identifiers import RecipientId
from entrenous.device.device import Device
from entrenous.media.clip_reader import read_clip
from entrenous.media.sound_reader import read_sound
from entrenous.send.message.draft import Draft, MessagePolicy
from tests.clips import encode_clip, hand_held_frames
from tests.send.send_device import SMALL_PICTURE, Network, Person, cached_network
from tests.village.world import photo

FRIENDS = ("ben", "caro")


@cached_network
def network_with_media_readers() -> Network:
    """Return a network of Ana, Ben and Caro; Ben and Caro are contacts of Ana."""
    network = Network()
    for name in ("ana", *FRIENDS):
        network.set_up_person(name)
    for name in FRIENDS:
        network["ana"].add_contact(network[name])
    for person in network.people.values():
        person.device = with_media_readers(person.device)
    return network


def with_media_readers(device: Device) -> Device:
    """Return a copy of the device that decodes clips and sounds in this process."""
    return replace(device, read_clip=read_clip, read_sound=read_sound)


def draft_to_friends(ana: Person, *files: bytes, **fields: object) -> Draft:
    """Return Ana's draft to Ben and Caro, both already confirmed as recipients."""
    people = tuple(map(RecipientId, FRIENDS))
    policy = MessagePolicy(ana.device.clock.now() + timedelta(days=7))
    return replace(
        Draft(files or (SMALL_PICTURE,), people, policy, confirmed=frozenset(FRIENDS)), **fields
    )


@cache
def small_clip() -> bytes:
    """Return a silent clip of one second, with the motion of a hand-held camera."""
    return encode_clip(hand_held_frames(size=(240, 180), seconds=1.0, fps=8), fps=8)


@cache
def voice_note() -> bytes:
    """Return six seconds of a voice-like sound, encoded as Opus in Ogg."""
    return coded(voice(6.0, 48_000), 48_000, "libopus", "ogg", 32_000)


@cache
def traceable_photo() -> bytes:
    """Return a photograph that is large enough for a leak to be traced."""
    return photo(width_px=400)
