"""The test vectors in tests/vectors/wire, which every implementation must reproduce."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entrenous.base.errors import Malformed
from entrenous.send.formats.identity_formats import (
    read_invite_link,
    read_prekey,
    write_invite_link,
    write_prekey,
)
from entrenous.send.formats.letter_format import read_body, read_header, write_body, write_header
from entrenous.send.formats.message_format import read_frame, write_frame
from entrenous.wire.key_bundle import (
    read_certificate,
    read_device_list,
    read_key_bundle,
    write_certificate,
    write_device_list,
    write_key_bundle,
)

VECTOR_FILES = sorted((Path(__file__).parents[1] / "vectors" / "wire").glob("*.txt"))
FORMATS: dict[str, tuple[Callable[[bytes], Any], Callable[[Any], bytes]]] = {
    "body": (read_body, write_body),
    "card": (read_key_bundle, write_key_bundle),
    "certificate": (read_certificate, write_certificate),
    "frame": (read_frame, write_frame),
    "header": (read_header, write_header),
    "list": (lambda untrusted: read_device_list(untrusted).said, write_device_list),
    "invite": (
        lambda link: read_invite_link(link.decode()),
        lambda one: write_invite_link(one).encode(),
    ),
    "prekey": (read_prekey, lambda key: write_prekey(key.statement, key.place, key.batch)),
}


@pytest.mark.parametrize("path", VECTOR_FILES, ids=lambda path: path.stem)
def test_published_vectors_are_reproduced(path: Path) -> None:
    facts = dict(line.split(": ", 1) for line in path.read_text().splitlines())
    read, write = FORMATS[facts["what"]]
    untrusted = bytes.fromhex(facts["bytes"])
    if facts["expect"] == "success":
        assert write(read(untrusted)) == untrusted
    else:
        with pytest.raises(Malformed):
            read(untrusted)


def test_every_format_has_valid_and_invalid_vectors() -> None:
    seen = {
        (path.stem.split("_")[0], "expect: success" in path.read_text()) for path in VECTOR_FILES
    }
    assert seen == {(name, is_valid) for name in FORMATS for is_valid in (True, False)}
