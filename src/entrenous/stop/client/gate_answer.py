"""How a platform's server asks its gate, and what the gate's reply means (docs/spec/gate.md, 6).

One frozen setting, read from a mapping; which account an upload belongs to; the verdict.
"""

import base64
import hmac
import ipaddress
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

from entrenous.base.environment import BadSetting, is_loopback
from entrenous.base.limits import UPLOAD_BYTES_MAX
from entrenous.base.secret import Secret

TOKEN_VARIABLE: Final = "ENTRENOUS_GATE_TOKEN"  # noqa: S105 -- a name
_TOKEN: Final = re.compile(rb"[A-Za-z0-9._~+/=-]{1,200}")  # RFC 6750, section 2.1
_CHOICES: Final = ("hold", "pass")


@dataclass(frozen=True, slots=True)
class ClientSettings:
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


_NAMES: Final = frozenset(one.name for one in fields(ClientSettings)) - {"token"} | {"token_file"}


def read_client_settings(
    given: Mapping[str, Any], environ: Mapping[str, str] = os.environ
) -> ClientSettings:
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
    return ClientSettings(token=_token(given.get("token_file"), environ), **rest)


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
    near = address.scheme == "http" and host is not None and is_loopback(host)
    if (
        not host
        or not (near or address.scheme == "https")
        or address.query
        or "@" in address.netloc
    ):
        wanted = "an address that begins with https://, or http:// and leads to this machine"
        raise BadSetting(name=name, wanted=wanted)


HEADER: Final = "Entrenous-Account"
_BYTES: Final = 16
_HOUSEHOLD_BITS: Final = 64  # of an IPv6 address: whoever has one has all that begin like it


def account_of(name: str | None, address: object) -> str:
    """Whose an upload is: who is signed in, else whose ``address`` it comes from; empty where that
    is not known, as behind a web server that says nothing of it.
    """
    if name:
        return name
    try:
        asked = ipaddress.ip_address(str(address))
    except ValueError:
        return ""
    asked = getattr(asked, "ipv4_mapped", None) or asked
    if not asked.is_global:  # of this house: the server in front, that everybody comes through
        return ""
    bits = asked.max_prefixlen if asked.version == 4 else _HOUSEHOLD_BITS
    return f"network\0{ipaddress.ip_network((asked, bits), strict=False)}"


def account_header(account: str, token: Secret) -> dict[str, str]:
    """The header for this account; none where it is not known."""
    if not account:
        return {}
    said = b"entrenous/1 account\0" + account.encode(errors="surrogateescape")
    name = hmac.digest(token.reveal(), said, "sha256")[:_BYTES]
    return {HEADER: base64.urlsafe_b64encode(name).rstrip(b"=").decode()}


class GateVerdict(StrEnum):
    """What happens to the upload, in the gate's own words."""

    LET_THROUGH = "let through"
    HOLD = "hold"
    REFUSE = "refuse"


class GateReason(StrEnum):
    """Who said so: the gate, or which of the ways in which it could not be asked."""

    GATE = "gate"  # it looked, and decided
    AWAY = "gate away"  # no connection, or it says that something failed there
    BUSY = "gate busy"  # 429: more uploads at once than it takes, or than the hook has room for
    ACCOUNT = "too many of one account"  # 429, too: as many as it looks at in an hour
    SLOW = "gate slow"  # the budget of time was over
    MALFORMED = "answer not understood"
    WRONG_TOKEN = "wrong token"  # noqa: S105 -- none at all, or the uploader's, who is not told
    TOO_LARGE = "too large"  # beyond the limit of the hook, or of the gate
    OTHER_MEDIA = "not a picture"  # video, sound, or a picture of a kind that the gate can't read
    OTHER_FILE = "not media"  # by its first bytes: a document, an archive, ciphertext
    UNREADABLE = "not readable"  # a form that can't be taken apart in one way only
    TOO_MANY = "too many files"  # in one request


_STRICTNESS: Final = (GateVerdict.LET_THROUGH, GateVerdict.HOLD, GateVerdict.REFUSE)
#: What calls for the operator's eye: something does not work.
FAILURES: Final = frozenset(
    (
        GateReason.AWAY,
        GateReason.BUSY,
        GateReason.SLOW,
        GateReason.MALFORMED,
        GateReason.WRONG_TOKEN,
    ),
)


@dataclass(frozen=True, slots=True)
class GateAnswer:
    """One upload's answer.

    ``case`` is the gate's number for it, empty when it gave none, and ``secret`` what the uploader
    needs besides to appeal. ``would``: what the gate's banks in shadow would have done. ``shadow``:
    the hook only asked and logged, and ``said`` must not be acted upon (see :attr:`acts`).
    ``listed``: the gate knows that this platform publishes it all the same, and lists it so.
    ``also``: the numbers of what else came with the same request.
    ``again_s``: so many seconds later the gate looks at uploads of this account again.
    """

    said: GateVerdict
    why: GateReason = GateReason.GATE
    case: str = ""
    shadow: bool = False
    would: GateVerdict | None = None
    secret: str = field(default="", repr=False)
    again_s: int | None = None
    listed: bool = False
    also: tuple[str, ...] = ()

    @property
    def acts(self) -> GateVerdict:
        """What is to be done: as was said, but to let through in shadow mode, and what is held and
        listed as published.
        """
        passes = self.shadow or (self.listed and self.said is GateVerdict.HOLD)
        return GateVerdict.LET_THROUGH if passes else self.said


def strictest(answers: Iterable[GateAnswer]) -> GateAnswer | None:
    """The answer for a request that brought several uploads, with the cases of the others; None for
    none.
    """
    every = tuple(answers)
    if not every:
        return None
    which = max(range(len(every)), key=lambda at: _strictness(every[at]))
    also = tuple(one.case for at, one in enumerate(every) if at != which and one.case)
    return replace(every[which], also=also) if also else every[which]


def _strictness(answer: GateAnswer) -> tuple[int, int]:
    """What is to be done comes first: one that is to be held is not outweighed by one that passes
    although it is held.
    """
    return _STRICTNESS.index(answer.acts), _STRICTNESS.index(answer.said)


#: Bytes that a reply may have; one takes some hundred.
REPLY_BYTES_MAX: Final = 64 * 1024
#: And a review, with every claim that an upload fits.
STATE_BYTES_MAX: Final = 4 * 1024 * 1024
_STATES: Final = ("waiting", "confirmed", "released", "closed")
_CASE: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{0,64}")
_SCHEMA: Final = "entrenous/decision/1"
_OF_ONE_ACCOUNT: Final = "urn:entrenous:unreachable:too-many-uploads"
_HOUR_S: Final = 3600
_WHY: Final[Mapping[int, GateReason]] = {
    HTTPStatus.UNAUTHORIZED: GateReason.WRONG_TOKEN,
    HTTPStatus.FORBIDDEN: GateReason.WRONG_TOKEN,
    HTTPStatus.REQUEST_TIMEOUT: GateReason.SLOW,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: GateReason.TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: GateReason.OTHER_MEDIA,
}


def held(why: GateReason) -> GateAnswer:
    """What becomes of an upload that nobody has looked at."""
    return GateAnswer(GateVerdict.HOLD, why)


def read_reply(status: int, untrusted_body: bytes) -> GateAnswer:
    """What the gate says of an upload. Never raises: what is not understood is held."""
    if status == HTTPStatus.OK:
        return _decision(untrusted_body)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return held(GateReason.AWAY)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return _busy(untrusted_body)
    return held(_WHY.get(status, GateReason.MALFORMED))


def read_state(status: int, untrusted_body: bytes) -> str:
    """How a case stands; empty for anything else. Never raises."""
    state = _document(untrusted_body).get("state") if status == HTTPStatus.OK else None
    return state if isinstance(state, str) and state in _STATES else ""


def _busy(untrusted_body: bytes) -> GateAnswer:
    """Nothing is wrong with a gate whose limit for one account is reached."""
    document = _document(untrusted_body)
    facts = document.get("facts")
    if document.get("type") != _OF_ONE_ACCOUNT or not isinstance(facts, dict):
        return held(GateReason.BUSY)
    wait_s = facts.get("retry_after_s")
    again_s = wait_s if type(wait_s) is int and 0 < wait_s <= _HOUR_S else _HOUR_S
    return GateAnswer(GateVerdict.HOLD, GateReason.ACCOUNT, again_s=again_s)


def _decision(untrusted_body: bytes) -> GateAnswer:
    """The decision of an operator's reply.

    To an uploader's token a held upload is answered in the same words as one that passed, with the
    way to appeal beside them. A hook must not take those words for the gate's.
    """
    document = _document(untrusted_body)
    case, said = document.get("case"), document.get("decision")
    if document.get("schema") != _SCHEMA or said not in tuple(GateVerdict):
        return held(GateReason.MALFORMED)
    if not isinstance(case, str) or _CASE.fullmatch(case) is None:
        return held(GateReason.MALFORMED)
    if said == GateVerdict.LET_THROUGH and "appeal" in document:
        return held(GateReason.WRONG_TOKEN)
    would, secret = document.get("shadow"), document.get("secret", "")
    if would not in (None, *GateVerdict) or not isinstance(secret, str) or not _is_secret(secret):
        return held(GateReason.MALFORMED)
    would = None if would is None else GateVerdict(would)
    listed = document.get("published") is True
    return GateAnswer(
        GateVerdict(said), GateReason.GATE, case, would=would, secret=secret, listed=listed
    )


def _is_secret(text: str) -> bool:
    """Base64url, or empty: older gates give none."""
    return _SECRET.fullmatch(text) is not None


def _document(untrusted_body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(untrusted_body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
