"""Tests of the pages which say that only the first picture of an animation is sent."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from entrenous.send.fetch import fetch_messages
from entrenous.send.people.invite import make_invite_link
from tests.app.client import Client, Files, open_client, wait_for_job
from tests.app.served import run_app
from tests.app.states import TypedTexts, create_relay_and_ben
from tests.real.processes import wait_until

pytestmark = [pytest.mark.real, pytest.mark.slow]

ANIMATION_NOTE = "This picture is animated"


@pytest.fixture
def ana(tmp_path: Path) -> Iterator[Client]:
    """Run Ana's app with Ben as a contact, and yield a client of the app."""
    with (
        create_relay_and_ben(tmp_path, TypedTexts()) as (ben, relay),
        run_app(tmp_path / "device", ENTRENOUS_PAUSE="0") as app,
        open_client(app) as client,
    ):
        client.set_up(relay.url)
        client.post("/52", {"link": make_invite_link(ben), "name": "Ben"})
        assert wait_until(lambda: bool(fetch_messages(ben)), 60)
        yield client


def gif_upload(*colours: str) -> Files:
    """Return an upload of a GIF with one picture of each colour."""
    first, *others = (Image.new("RGB", (256, 256), colour) for colour in colours)
    file = io.BytesIO()
    first.save(file, "GIF", save_all=bool(others), append_images=others)
    return [("file", ("picture.gif", file.getvalue(), "image/gif"))]


def test_review_and_made_copies_say_that_a_moving_picture_is_sent_still(ana: Client) -> None:
    for upload, moves in ((gif_upload("red", "blue"), True), (gif_upload("red"), False)):
        review = ana.post("/10", {"to": "Ben"}, upload)
        copies = wait_for_job(ana, ana.post("/20", {"names": "Ben"}, upload))
        assert "Check before you send" in review.text
        assert "The copies are ready" in copies.text
        assert [ANIMATION_NOTE in page.text for page in (review, copies)] == [moves, moves]
