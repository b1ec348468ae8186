"""A random token that is made once and kept in a file of its owner's."""

import base64
import secrets
from pathlib import Path

from entrenous.adapters.private_file import write_private
from entrenous.model.secret import Secret


def kept_token(place: Path) -> Secret:
    """The token in the file at ``place`` (base64url text, 256 bits), which is made if missing."""
    if not place.exists():
        write_private(place, base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"="))
    return Secret(place.read_bytes().strip())
