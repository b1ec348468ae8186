"""A source's credentials, from the environment or a file that only its owner reads (6.1)."""

import base64
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from entrenous.model.exchange import (
    NoCredentials,
    OddCredentials,
    OpenCredentials,
    Source,
    SourceKind,
)
from entrenous.model.secret import Secret

_BYTES_MAX: Final = 4096
_FORM: Final[Mapping[SourceKind, str]] = {
    SourceKind.STOPNCII: "function key,subscription key",
    SourceKind.NCMEC: "user:password",
    SourceKind.THREATEXCHANGE: "app|secret",
    SourceKind.HMA: "a token",
}


def variable_of(source: Source) -> str:
    """The environment variable that may hold them."""
    return f"ENTRENOUS_EXCHANGE_{source.name.upper().replace('-', '_')}"


def headers_for(source: Source, environment: Mapping[str, str]) -> dict[str, str]:
    """The headers that let us in.

    Raises:
        NoCredentials: there are none.
        OddCredentials: they are not in the form of this kind.
        OpenCredentials: others can read the file.
    """
    known = _read(source, environment)
    if known is None:
        if source.kind is SourceKind.HMA:
            return {}
        raise _missing(source)
    return _headers(source, known.reveal().decode("latin-1"))


def check_file(source: Source) -> None:
    """Whether the file that is named for them, if any, will do; raises as :func:`headers_for`."""
    if source.credentials:
        known = _of_file(source)
        if known is None:
            raise _missing(source)
        _headers(source, known.reveal().decode("latin-1"))


def _headers(source: Source, text: str) -> dict[str, str]:
    if not text.isprintable() or not text.isascii():
        raise _odd(source)
    if source.kind is SourceKind.STOPNCII:
        function, comma, subscription = text.partition(",")
        if not (function and comma and subscription):
            raise _odd(source)
        return {"x-functions-key": function, "Ocp-Apim-Subscription-Key": subscription}
    if source.kind is SourceKind.NCMEC:
        if ":" not in text:
            raise _odd(source)
        return {"Authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}
    return {"Authorization": f"Bearer {text}"}


def _read(source: Source, environment: Mapping[str, str]) -> Secret | None:
    text = environment.get(variable_of(source), "").strip()
    if text:
        return Secret(text.encode())
    return _of_file(source) if source.credentials else None


def _of_file(source: Source) -> Secret | None:
    """Looked at and read by one descriptor, so that it cannot be exchanged in between."""
    path = Path(source.credentials)
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise OpenCredentials(path=path)
            text = file.read(_BYTES_MAX).strip()
    except OSError:
        raise _missing(source) from None
    return Secret(text) if text else None


def _odd(source: Source) -> OddCredentials:
    return OddCredentials(name=source.name, form=_FORM.get(source.kind, "nothing"))


def _missing(source: Source) -> NoCredentials:
    form = _FORM.get(source.kind, "nothing")
    return NoCredentials(name=source.name, variable=variable_of(source), form=form)
