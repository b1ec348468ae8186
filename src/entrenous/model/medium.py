"""What kind of thing a file holds, in the words of people."""

from enum import StrEnum


class Medium(StrEnum):
    """What a file is to be opened as."""

    PICTURE = "picture"
    CLIP = "clip"  # moving pictures, with or without sound
    SOUND = "sound"
