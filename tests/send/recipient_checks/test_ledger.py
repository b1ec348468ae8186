"""The guard asks if a picture that Ben has goes to somebody else with a text that names Ben."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from entrenous.send.guard import inspect_draft
from tests.send.send_device import Network, Person
from tests.send.test_guard import draft
from tests.village.world import photo

SMALL_PICTURE = photo(width_px=160)  # square, since similar pictures of two sizes are compared here

ASTRONAUT = photo(width_px=200)


def guard_asks(sender: Person, to: str, text: str, picture: bytes = ASTRONAUT) -> bool:
    going = replace(draft(sender, to), files=(picture,), caption=text)
    why = f"the text names ben, who already got this picture, but this message goes to {to}"
    return any(why in one.why for one in inspect_draft(going, sender.device).doubts)


def faint_gradient(grey: int) -> bytes:
    """Return a faint grey gradient as a PNG; all of these have the same perceptual hash."""
    gradient = grey + np.add.outer(np.linspace(0, 10, 160), np.linspace(0, 20, 160))
    file = io.BytesIO()
    Image.fromarray(gradient.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def three_people(three_people: Network) -> Network:
    """Ana has sent the picture to Ben; Caro is her contact."""
    three_people["ana"].send(SMALL_PICTURE, three_people["ben"])
    return three_people


@pytest.mark.slow
def test_text_naming_a_person_who_has_the_picture_is_asked_about(three_people: Network) -> None:
    """The picture is recognized after scaling."""
    for text in ("For you, Ben!", "ben: as promised", "dear BEN"):
        assert guard_asks(three_people["ana"], "caro", text)


@pytest.mark.slow
def test_other_texts_pictures_and_recipients_are_not_asked_about(three_people: Network) -> None:
    ana = three_people["ana"]
    assert not guard_asks(ana, "caro", "on a bench, being bendable")
    assert not guard_asks(ana, "caro", "For you, Ben!", photo("coffee", width_px=200))
    assert not guard_asks(ana, "ben", "For you, Ben!")
    assert not guard_asks(ana, "caro", "For you, Zoe!")


@pytest.mark.slow
def test_flat_pictures_are_not_asked_about(three_people: Network) -> None:
    ana = three_people["ana"]
    ana.send(faint_gradient(100), three_people["ben"])
    assert not guard_asks(ana, "caro", "For you, Ben!", faint_gradient(60))
