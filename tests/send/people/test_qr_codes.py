"""QR codes of invites and of key comparisons.

ZXing reads the codes of invites here, because OpenCV's reader fails on some of them.
"""

from base64 import b32encode
from contextlib import suppress

import cv2
import numpy as np
import pytest
import zxingcpp

from entrenous.base.identifiers import MailboxId, PersonId
from entrenous.base.secret import Secret
from entrenous.send.formats.identity_formats import write_invite_link
from entrenous.send.people.people_nouns import Invite, NoCodeInPicture
from entrenous.send.people.qr_codes import qr_picture, qr_terminal_text, read_qr_code
from tests.sizes import size
from tests.village.world import photo

SEEDS = range(size(5, 12))


def invite_link(url: str) -> str:
    return write_invite_link(
        Invite("Ana", url, MailboxId(b"m" * 16), PersonId(b"p" * 32), Secret(b"t" * 32))
    )


INVITE_LINKS = [
    invite_link("https://relay.example.org"),
    invite_link("https://relay." + "long." * 30 + "example.org"),
]


def read_with_zxing(picture: np.ndarray) -> str:
    barcode = zxingcpp.read_barcode(picture)
    assert barcode is not None
    return str(barcode.text)


@pytest.mark.parametrize("link", INVITE_LINKS)
def test_qr_picture_encodes_the_link(link: str) -> None:
    picture = cv2.imdecode(np.frombuffer(qr_picture(link), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    assert read_with_zxing(picture) == link


@pytest.mark.parametrize("link", INVITE_LINKS)
def test_qr_text_encodes_the_link(link: str) -> None:
    rows = [
        [255 * (block in light) for block in line]
        for line in qr_terminal_text(link).splitlines()
        for light in ("█▀", "█▄")
    ]
    squares = np.array(rows, np.uint8)
    assert (
        read_with_zxing(cv2.resize(squares, None, fx=3, fy=3, interpolation=cv2.INTER_NEAREST))
        == link
    )


def test_invite_qr_text_fits_80_columns() -> None:
    assert max(map(len, qr_terminal_text(INVITE_LINKS[0]).splitlines())) <= 80


COMPARISON_CODES = [
    f"ENTRENOUS:KEYS:1:{b32encode(bytes([seed]) * 32).decode().rstrip('=')}" for seed in SEEDS
]


def photo_of_code(code: str, seed: int) -> bytes:
    """Simulate a photo of a code on a screen: rotated, in perspective, blurred and noisy."""
    rng = np.random.default_rng(seed)
    drawn = cv2.imdecode(np.frombuffer(qr_picture(code), np.uint8), cv2.IMREAD_COLOR)
    assert drawn is not None
    height, width = drawn.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    target_corners = corners * 1.6 + 300 + rng.uniform(-18, 18, (4, 2)).astype(np.float32)
    turn = cv2.getRotationMatrix2D((450.0, 450.0), float(rng.uniform(-12, 12)), 1.0)
    target_corners = (target_corners @ turn[:, :2].T + turn[:, 2]).astype(np.float32)
    scene = np.full((1100, 1100, 3), 90, np.uint8)
    perspective = cv2.getPerspectiveTransform(corners, target_corners)
    cv2.warpPerspective(drawn, perspective, (1100, 1100), scene, borderMode=cv2.BORDER_TRANSPARENT)
    blurred = cv2.GaussianBlur(scene, (0, 0), 1.2).astype(np.float64)
    noisy = np.clip(blurred + rng.normal(0, 6, blurred.shape), 0, 255).astype(np.uint8)
    return cv2.imencode(".jpg", noisy)[1].tobytes()


@pytest.mark.slow
def test_qr_code_is_read_from_a_photo() -> None:
    read_count = 0
    for seed, code in zip(SEEDS, COMPARISON_CODES, strict=True):
        with suppress(NoCodeInPicture):
            assert read_qr_code(photo_of_code(code, seed)) == code
            read_count += 1
    assert read_count >= len(COMPARISON_CODES) - 1, "at most one code may be unreadable"


def test_picture_without_a_code_is_refused() -> None:
    with pytest.raises(NoCodeInPicture):
        read_qr_code(photo(width_px=300))
