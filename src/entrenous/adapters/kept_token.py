"""A random token that is made once and kept in a file of its owner's."""

import secrets
from contextlib import suppress
from pathlib import Path

from entrenous.adapters.private_file import add_private
from entrenous.craft.wire.b64u import b64u, unb64u
from entrenous.model.gate import BadKeptToken
from entrenous.model.relay_problem import NotUnderstood
from entrenous.model.secret import Secret
from entrenous.spec import TOKEN_BYTES


def kept_token(place: Path) -> Secret:
    """The token in the file at ``place`` (base64url text, 256 bits), which is made if missing.

    Raises:
        BadKeptToken: something else is in it. An empty one would be shown by everybody who shows
            none, and a short one is soon guessed.
    """
    if not place.exists():
        with suppress(FileExistsError):  # another process was quicker; its token is the one
            add_private(place, b64u(secrets.token_bytes(TOKEN_BYTES)).encode())
    token = place.read_bytes().strip()
    try:
        unb64u(token.decode("latin-1"), TOKEN_BYTES)
    except NotUnderstood:
        raise BadKeptToken(file=place) from None
    return Secret(token)
