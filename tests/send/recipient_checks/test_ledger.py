"""The guard asks before a picture goes to Caro with a text that names Ben.

The guard asks only if Ben already has the picture.
"""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from entrenous.send.guard import inspect_draft
from tests.send.send_device import Network, Person
from tests.send.test_guard import draft
from tests.village.world import photo

SMALL_PICTURE = photo(width_px=160)  # the same photo as LARGER_PICTURE, scaled

LARGER_PICTURE = photo(width_px=200)


def has_name_warning(
    sender: Person, recipient: str, text: str, picture: bytes = LARGER_PICTURE
) -> bool:
    checked_draft = replace(draft(sender, recipient), files=(picture,), caption=text)
    expected_reason = (
        f"the text names ben, who already got this picture, but this message goes to {recipient}"
    )
    return any(
        expected_reason in one.why for one in inspect_draft(checked_draft, sender.device).warnings
    )


def faint_gradient(grey: int) -> bytes:
    """Return a faint grey gradient as a PNG; all such gradients have the same perceptual hash."""
    gradient = grey + np.add.outer(np.linspace(0, 10, 160), np.linspace(0, 20, 160))
    file = io.BytesIO()
    Image.fromarray(gradient.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def three_people(three_people: Network) -> Network:
    """Ana has sent a picture to Ben; Ben and Caro are her contacts."""
    three_people["ana"].send(SMALL_PICTURE, three_people["ben"])
    return three_people


@pytest.mark.slow
def test_text_naming_a_person_who_has_the_picture_is_asked_about(three_people: Network) -> None:
    """Ben got the picture in a smaller size. The guard recognises it as the same picture."""
    for text in ("For you, Ben!", "ben: as promised", "dear BEN"):
        assert has_name_warning(three_people["ana"], "caro", text)


@pytest.mark.slow
def test_other_texts_pictures_and_recipients_are_not_asked_about(three_people: Network) -> None:
    ana = three_people["ana"]
    assert not has_name_warning(ana, "caro", "on a bench, being bendable")
    assert not has_name_warning(ana, "caro", "For you, Ben!", photo("coffee", width_px=200))
    assert not has_name_warning(ana, "ben", "For you, Ben!")
    assert not has_name_warning(ana, "caro", "For you, Zoe!")


@pytest.mark.slow
def test_flat_pictures_are_not_asked_about(three_people: Network) -> None:
    ana = three_people["ana"]
    ana.send(faint_gradient(100), three_people["ben"])
    assert not has_name_warning(ana, "caro", "For you, Ben!", faint_gradient(60))
