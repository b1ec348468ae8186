"""What a person reads before and after registering something with a platform."""

from typing import Final

from entrenous.base.language import plural, translatable, translated
from entrenous.base.picture import MediaKind
from entrenous.fingerprint.nouns import (
    PICTURE_KIND,
    SOUND_KIND,
    VIDEO_KIND,
    ClipPrint,
    MediaFingerprint,
)
from entrenous.stop.registration import ClaimState, Consent, Protection

_WHAT_PICTURE_HASHES_REVEAL: Final = translatable(
    "Only fingerprints leave this device, never the picture. A fingerprint betrays a little: "
    "somebody who has the picture can check that it is listed, and a likeness of it, not the "
    "picture, can be guessed."
)
_WHAT_PART_HASHES_REVEAL: Final = translatable(
    "To find cut-outs as well, about 500 fingerprints of parts go along, which betray more. To "
    "leave them out: --whole-only."
)
#: An embedding is sent only if the person agreed to that separately.
WHAT_EMBEDDINGS_REVEAL: Final = translatable(
    "With --embedding, 512 numbers go along that say how the picture looks to a network. They "
    "betray more than its fingerprints do: what is in it (how many people, how they are placed, "
    "what is around them) and a fuller likeness can be guessed from them. They find more, also "
    "pictures that only look alike; a person decides. Only this platform keeps them, until you "
    "take this back."
)
_WHAT_VIDEO_HASHES_REVEAL: Final = translatable(
    "Only fingerprints leave this device, never the video: of up to 1,200 of its moments, with "
    "their times. They betray more than those of one picture do: somebody who has the video, or a "
    "moment of it, can check that it is listed, and blurred likenesses of its moments, and how it "
    "goes on, can be guessed."
)
_WHAT_EDGELESS_HASHES_REVEAL: Final = translatable(
    "To find it with its edges cut off as well, a second fingerprint of each moment goes along. To "
    "leave these out: --whole-only."
)
_WHAT_SOUND_OF_VIDEO_REVEALS: Final = translatable(
    "Its sound is registered too: a song that is in it can be named, and a tune guessed; as far as "
    "we know, nobody can tell from it what was said. If others have that song in their videos, "
    "theirs are held as well, until a person has looked. To leave the sound out: --no-sound."
)
_WHAT_SOUND_REVEALS: Final = translatable(
    "Only a fingerprint leaves this device, never the sound. It betrays a little: somebody who has "
    "the sound, or a song that is in it, can check that it is listed, and a tune can be guessed. "
    "As far as we know, nobody can tell from it what was said. If others have that song too, what "
    "they upload is held as well, until a person has looked."
)


def describe_what_is_sent(medium: MediaKind, consent: Consent) -> str:
    """Return an explanation of what the fingerprints of such a file reveal, to be read before they
    are sent.
    """
    if medium is MediaKind.PICTURE:
        said = [_WHAT_PICTURE_HASHES_REVEAL, *([_WHAT_PART_HASHES_REVEAL] if consent.parts else [])]
    elif medium is MediaKind.SOUND:
        said = [_WHAT_SOUND_REVEALS]
    else:
        edges, sound = (
            [_WHAT_EDGELESS_HASHES_REVEAL] if consent.parts else [],
            [_WHAT_SOUND_OF_VIDEO_REVEALS] if consent.sound else [],
        )
        said = [_WHAT_VIDEO_HASHES_REVEAL, *edges, *sound]
    return " ".join(map(translated, said))


def describe_video_fingerprints(fingerprint: MediaFingerprint) -> str:
    """Return in words what was found in a video to register."""
    match fingerprint:
        case ClipPrint(video, None):
            return plural(
                "Fingerprints of {count} moment, and nothing of its sound.",
                "Fingerprints of {count} moments, and nothing of its sound.",
                len(video.frames),
            )
        case ClipPrint(video):
            return plural(
                "Fingerprints of {count} moment, and of its sound.",
                "Fingerprints of {count} moments, and of its sound.",
                len(video.frames),
            )
        case _:
            return translated(
                "It has no moments that can be recognized: only a fingerprint of its sound."
            )


_KIND_WORDS: Final = {
    PICTURE_KIND: translatable("picture"),
    VIDEO_KIND: translatable("video"),
    SOUND_KIND: translatable("sound"),
}
_STATE_WORDS: Final = {
    None: translatable("asked, no answer yet"),
    ClaimState.WAITING: translatable("waiting"),
    ClaimState.CONFIRMED: translatable("confirmed"),
    ClaimState.SUSPENDED: translatable("suspended"),
    ClaimState.WITHDRAWN: translatable("withdrawn"),
}


def kind_in_words(kind: str) -> str:
    """Return, in words, what was registered: a picture, a video or a sound."""
    return translated(_KIND_WORDS.get(kind, kind))


def state_in_words(protection: Protection) -> str:
    """Return, in words, the state of a registration as the platform last reported it."""
    return translated(_STATE_WORDS[protection.state])
