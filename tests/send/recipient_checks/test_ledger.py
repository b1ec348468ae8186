"""The guard asks if a picture that Ben has goes to somebody else with a text that names Ben."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from entrenous.send.guard import inspect_draft
from tests.send.send_device import Person, Room
from tests.send.test_guard import draft
from tests.village.world import photo

SMALL = photo(width_px=160)  # square, since similar pictures of two sizes are compared here

ASTRONAUT = photo(width_px=200)


def asked(sender: Person, to: str, words: str, picture: bytes = ASTRONAUT) -> bool:
    going = replace(draft(sender, to), files=(picture,), caption=words)
    why = f"the text names ben, who already got this picture, but this message goes to {to}"
    return any(why in one.why for one in inspect_draft(going, sender.device).doubts)


def haze(grey: int) -> bytes:
    """Return a faint grey gradient as a PNG; all of these have the same perceptual hash."""
    run = grey + np.add.outer(np.linspace(0, 10, 160), np.linspace(0, 20, 160))
    file = io.BytesIO()
    Image.fromarray(run.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def three(three: Room) -> Room:
    """Ana has sent the picture to Ben; Caro is her contact."""
    three["ana"].sends(SMALL, three["ben"])
    return three


@pytest.mark.slow
def test_text_naming_a_person_who_has_the_picture_is_asked_about(three: Room) -> None:
    """The picture is recognized after scaling."""
    for words in ("For you, Ben!", "ben: as promised", "dear BEN"):
        assert asked(three["ana"], "caro", words)


@pytest.mark.slow
def test_other_texts_pictures_and_recipients_are_not_asked_about(three: Room) -> None:
    ana = three["ana"]
    assert not asked(ana, "caro", "on a bench, being bendable")
    assert not asked(ana, "caro", "For you, Ben!", photo("coffee", width_px=200))
    assert not asked(ana, "ben", "For you, Ben!")
    assert not asked(ana, "caro", "For you, Zoe!")


@pytest.mark.slow
def test_flat_pictures_all_look_alike_and_are_not_asked_about(three: Room) -> None:
    ana = three["ana"]
    ana.sends(haze(100), three["ben"])
    assert not asked(ana, "caro", "For you, Ben!", haze(60))
