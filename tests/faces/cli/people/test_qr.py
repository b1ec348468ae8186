"""QR codes of invites, read by ZXing, as telephones do.

OpenCV's reader misses seven in a hundred of these codes, whoever drew them.
"""

import cv2
import numpy as np
import pytest
import zxingcpp

from entrenous.craft.wire.identity.invite import write_invite
from entrenous.faces.cli.people.qr import qr_picture, qr_text
from entrenous.model.ids import MailboxId, PersonId
from entrenous.model.person import Invite
from entrenous.model.secret import Secret


def link(url: str) -> str:
    return write_invite(
        Invite("Ana", url, MailboxId(b"m" * 16), PersonId(b"p" * 32), Secret(b"t" * 32))
    )


LINKS = [link("https://relay.example.org"), link("https://relay." + "long." * 30 + "example.org")]


def read(picture: np.ndarray) -> str:
    found = zxingcpp.read_barcode(picture)
    assert found is not None
    return str(found.text)


@pytest.mark.parametrize("one", LINKS)
def test_the_picture_says_the_link(one: str) -> None:
    picture = cv2.imdecode(np.frombuffer(qr_picture(one), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    assert read(picture) == one


@pytest.mark.parametrize("one", LINKS)
def test_so_do_the_lines_on_a_terminal(one: str) -> None:
    rows = [
        [255 * (block in light) for block in line]
        for line in qr_text(one).splitlines()
        for light in ("█▀", "█▄")
    ]
    squares = np.array(rows, np.uint8)
    assert read(cv2.resize(squares, None, fx=3, fy=3, interpolation=cv2.INTER_NEAREST)) == one


def test_an_ordinary_invite_fits_a_terminal_of_80_columns() -> None:
    assert max(map(len, qr_text(LINKS[0]).splitlines())) <= 80
