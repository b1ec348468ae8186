"""How a hook asks its gate: one frozen setting, from a mapping as web frameworks have them."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

from entrenous.adapters.loopback import is_this_machine
from entrenous.model.secret import Secret
from entrenous.model.setting import BadSetting
from entrenous.spec import UPLOAD_BYTES_MAX

TOKEN_VARIABLE: Final = "ENTRENOUS_GATE_TOKEN"  # noqa: S105 -- a name
_TOKEN: Final = re.compile(rb"[A-Za-z0-9._~+/=-]{1,200}")  # RFC 6750, section 2.1
_CHOICES: Final = ("hold", "pass")


@dataclass(frozen=True, slots=True)
class HookSetting:
    """What a hook needs to know.

    Args:
        gate: its address, https, or http to this machine.
        token: the operator's; the uploader's would not be told what is held.
        budget_s: an upload that has no answer after so many seconds is held.
        upload_bytes_max: larger ones are held without being asked about.
        other_media: what becomes of video, sound and kinds of pictures that the gate does not
            read. Held, unless the operator says otherwise: they are what people are harmed with
            as well, and nobody has looked at them.
        other_files: what becomes of what is no media at all, as documents, archives and
            ciphertext. They pass: a gate of pictures has nothing to say about them, and would
            hold every one.
        shadow: ask and log, and always let through.
        appeal_url: where a person whose upload was refused can ask for a look.
        ca_file: a PEM file of authorities to believe instead of the public ones.

    Raises:
        BadSetting: one of them is not what it must be.
    """

    gate: str
    token: Secret
    budget_s: float = 5.0
    upload_bytes_max: int = UPLOAD_BYTES_MAX
    other_media: str = "hold"
    other_files: str = "pass"
    shadow: bool = False
    appeal_url: str = ""
    ca_file: str = ""

    def __post_init__(self) -> None:
        refuse_odd("gate", self.gate)
        for name in ("budget_s", "upload_bytes_max"):
            _require(name, _is_positive(getattr(self, name)), "a number above 0")
        for name in ("other_media", "other_files"):
            _require(name, getattr(self, name) in _CHOICES, '"hold" or "pass"')
        _require("shadow", _is(self.shadow, bool), "true or false")
        for name in ("appeal_url", "ca_file"):
            _require(name, _is(getattr(self, name), str), "a text")
        is_token = _TOKEN.fullmatch(self.token.reveal()) is not None
        _require("token", is_token, "the text in the gate's file operator.token")


_NAMES: Final = frozenset(one.name for one in fields(HookSetting)) - {"token"} | {"token_file"}


def read_setting(given: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> HookSetting:
    """The setting of a mapping whose names are those of :class:`HookSetting`.

    The token itself never stands in it: ``token_file`` names the file that holds it, else it is
    in the variable ENTRENOUS_GATE_TOKEN.

    Raises:
        BadSetting: a name is not known, one is missing, or the file can't be read.
    """
    if not isinstance(given, Mapping):
        raise BadSetting(name="of the hook", wanted="names with values, as in docs/gate.md")
    for name in given:
        if name not in _NAMES:
            wanted = "left out: there is no setting of this name"
            raise BadSetting(name=str(name)[:40], wanted=wanted)
    if not isinstance(given.get("gate"), str):
        raise BadSetting(name="gate", wanted="the gate's address, such as http://127.0.0.1:7802")
    rest = {name: value for name, value in given.items() if name != "token_file"}
    return HookSetting(token=_token(given.get("token_file"), environ), **rest)


def _token(file: object, environ: Mapping[str, str]) -> Secret:
    if file is None:
        if TOKEN_VARIABLE not in environ:
            wanted = f"the path of the gate's operator.token, or {TOKEN_VARIABLE} be set"
            raise BadSetting(name="token_file", wanted=wanted)
        return Secret(environ[TOKEN_VARIABLE].strip().encode())
    try:
        return Secret(Path(str(file)).read_bytes()[:1000].strip())
    except (OSError, ValueError):
        wanted = "the path of a file that this server may read"
        raise BadSetting(name="token_file", wanted=wanted) from None


def _require(name: str, holds: bool, wanted: str) -> None:  # noqa: FBT001 -- private, one use
    if not holds:
        raise BadSetting(name=name, wanted=wanted)


def _is(value: object, kind: type) -> bool:
    return isinstance(value, kind)


def _is_positive(value: object) -> bool:
    return type(value) in (int, float) and 0 < cast("float", value) < float("inf")


def refuse_odd(name: str, url: str) -> None:
    """Raises BadSetting for what is no web address, and for http to another machine."""
    try:
        address = urlsplit(url)
        host, _ = address.hostname, address.port  # reading it checks that it is one
    except ValueError:
        host, address = None, urlsplit("")
    near = address.scheme == "http" and host is not None and is_this_machine(host)
    if (
        not host
        or not (near or address.scheme == "https")
        or address.query
        or "@" in address.netloc
    ):
        wanted = "an address that begins with https://, or http:// and leads to this machine"
        raise BadSetting(name=name, wanted=wanted)
