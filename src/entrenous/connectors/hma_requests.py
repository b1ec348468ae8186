"""Error answers in the format of HMA (Meta's Hasher-Matcher-Actioner), parameters of requests, and
names of banks.
"""

import re
from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Any, Final, TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from entrenous.base.errors import EntrenousError, Malformed, NotFound, Refused
from entrenous.base.identifiers import BankName
from entrenous.base.limits import CLAIM_BYTES_MAX, PDQ_BYTES
from entrenous.base.picture import TooManyPixels
from entrenous.fingerprint.nouns import BadFingerprint, TooFlat
from entrenous.stop.http.access import WrongToken
from entrenous.stop.http.answers import PRIVATE_HEADERS, GateFault, log_bug
from entrenous.stop.http.request_body import TooLarge, TooSlow, read_body
from entrenous.stop.nouns import RELEASED_BANK, Bank, GateBusy, NoSuchBank
from entrenous.stop.platform import Platform
from entrenous.wire.problem_details import status_of


class BadParameter(Malformed):
    """This request is not valid: {why}. Nothing was changed. Correct it and send it again."""


class MissingParameter(Malformed):
    """
    The parameter "{name}" is missing from this request. Nothing was changed. Add it and send the
    request again.
    """


class NoFetching(Malformed):
    """
    This gate does not download files from web addresses, since a stranger could make it request
    pages in your own network. Nothing was checked. Send the file itself as multipart/form-data, in
    a field named "photo".
    """


class NoPhoto(Malformed):
    """
    No picture could be read from this request: its form is incomplete or too long, or has no field
    named "photo" with content. Nothing was checked. Send the picture as multipart/form-data, in a
    field named "photo", and leave out fields that are not needed.
    """


class NoSuchContent(NotFound):
    """
    That bank has no entry (called "content" in HMA) with this number; another request may have
    removed it. To see which numbers exist, list the contents of the bank.
    """


class BankAlreadyExists(Refused):
    """A hash bank with this name already exists, so no bank was created. Choose another name."""


class NotOwnContent(Refused):
    """{why} Nothing was changed here."""


class AmbiguousBankName(Refused):
    """
    HMA writes the names of banks with capitals, digits and _ only. Written that way, two of this
    gate's banks have the same name, so it is unclear which bank you mean. Nothing was changed. Use
    the command line, which accepts the banks' own names: entrenous gate bank
    """


class NotSupportedHere(Refused):
    """This gate does not support this request. Nothing was changed. {instead}"""


_STATUS_BY_ERROR: Final[Mapping[type[EntrenousError], int]] = {
    TooFlat: 400,
    WrongToken: 401,
    BankAlreadyExists: 403,
    NotOwnContent: 403,
    TooSlow: 408,
    AmbiguousBankName: 409,
    TooLarge: 413,
    TooManyPixels: 413,
    MissingParameter: 422,
    GateBusy: 429,
    NotSupportedHere: 501,
}
_RETRY_HEADER: Final = {"Retry-After": "5"}
_HEADERS_BY_STATUS: Final = {
    401: {"WWW-Authenticate": "Bearer"},
    429: _RETRY_HEADER,
    503: _RETRY_HEADER,
}


def on_error(_request: Request, error: Exception) -> Response:
    """Answer with the error's own message; for a bug, log it and answer with a general message."""
    own = error if isinstance(error, EntrenousError) else GateFault()
    if own is not error:
        log_bug(error)
    status = status_of(type(own), _STATUS_BY_ERROR)
    content: dict[str, Any] = {"message": " ".join(str(own).split())}
    if isinstance(own, NoSuchContent) and "next" in own.facts:
        content["next"] = own.facts["next"]
    return JSONResponse(content, status, PRIVATE_HEADERS | _HEADERS_BY_STATUS.get(status, {}))


def on_http_error(_request: Request, error: Exception) -> Response:
    """Answer the framework's errors, such as an unknown address or method."""
    assert isinstance(error, HTTPException)  # noqa: S101 (registered for this class only)
    content = {"message": HTTPStatus(error.status_code).phrase}
    return JSONResponse(content, error.status_code, PRIVATE_HEADERS | dict(error.headers or {}))


SIGNAL_TYPE: Final = "pdq"
HMA_CONTENT_TYPE: Final = "photo"
_HEX_DIGITS: Final = frozenset("0123456789abcdefABCDEF")
_TRUE_WORDS: Final = frozenset({"true", "1", "yes", "on"})
_FALSE_WORDS: Final = frozenset({"false", "0", "no", "off", ""})
MemberT = TypeVar("MemberT")


def required_parameter(request: Request, name: str) -> str:
    """Return a required query parameter; raises MissingParameter."""
    value = request.query_params.get(name)
    if value is None:
        raise MissingParameter(name=name)
    return value


def parse_flag(untrusted_value: object, name: str) -> bool:
    """Parse a boolean in JSON or text; raises BadParameter."""
    text = str(untrusted_value).lower()
    if text not in _TRUE_WORDS | _FALSE_WORDS:
        raise BadParameter(why=f'"{name}" must be true or false')
    return text in _TRUE_WORDS


def refuse_url(request: Request) -> None:
    """Raise NoFetching if the request asks to fetch an address."""
    if "url" in request.query_params:
        raise NoFetching


def require_pdq(request: Request, *, type_required: bool = False) -> None:
    """Check the signal type and the content type; raises BadParameter, or MissingParameter if a
    type that is required is missing.
    """
    query = request.query_params
    wanted = (
        [required_parameter(request, "signal_type")]
        if type_required
        else query.getlist("signal_type")
    )
    wanted += [one.strip() for one in query.get("types", "").split(",") if one.strip()]
    if any(one != SIGNAL_TYPE for one in wanted):
        raise BadParameter(why=f'the only signal type here is "{SIGNAL_TYPE}"')
    if query.get("content_type", HMA_CONTENT_TYPE) != HMA_CONTENT_TYPE:
        raise BadParameter(why=f'the only content type here is "{HMA_CONTENT_TYPE}"')


def parse_pdq_signal(untrusted_signal: object) -> bytes:
    """Parse a PDQ hash of 64 hexadecimal digits; raises BadFingerprint."""
    if not isinstance(untrusted_signal, str) or len(untrusted_signal) != 2 * PDQ_BYTES:
        raise BadFingerprint
    if not set(untrusted_signal) <= _HEX_DIGITS:
        raise BadFingerprint
    return bytes.fromhex(untrusted_signal)


async def read_json_object(request: Request) -> dict[str, Any]:
    """Read a JSON object; raises BadParameter, TooLarge."""
    body = await read_body(request, CLAIM_BYTES_MAX)
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
        raise BadParameter(why="the body is not a JSON object") from problem


def json_member(document: dict[str, Any], name: str, kind: type[MemberT]) -> MemberT:
    """Return a member of a JSON object; raises MissingParameter, BadParameter."""
    if name not in document:
        raise MissingParameter(name=name)
    value = document[name]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise BadParameter(why=f'"{name}" has the wrong type')
    return value


HMA_NAME_CHARS_MAX: Final = 64
_HMA_NAME_PATTERN: Final = re.compile(r"[A-Z_][A-Z0-9_]*", re.ASCII)


def hma_name(name: str) -> str:
    """Return the bank's name in HMA's characters: ``FROM_ALLY`` for ``from-ally``."""
    converted = re.sub(r"[^A-Z0-9_]", "_", name.upper())
    return converted if _HMA_NAME_PATTERN.fullmatch(converted) else f"_{converted}"


def visible_banks(platform: Platform) -> tuple[Bank, ...]:
    """Return all banks except the internal one of released uploads."""
    return tuple(bank for bank in platform.bank.banks() if bank.name != RELEASED_BANK)


def get_bank_by_hma_name(untrusted_name: str, platform: Platform) -> Bank:
    """Return the bank with this HMA name; raises NoSuchBank, AmbiguousBankName."""
    banks = [bank for bank in visible_banks(platform) if hma_name(bank.name) == untrusted_name]
    if not banks:
        raise NoSuchBank(bank=untrusted_name[:HMA_NAME_CHARS_MAX])
    if len(banks) > 1:
        raise AmbiguousBankName
    return banks[0]


def parse_new_bank_name(untrusted_name: str, platform: Platform) -> BankName:
    """Return the name that a new bank gets in this gate; raises BadParameter, BankAlreadyExists."""
    if len(untrusted_name) > HMA_NAME_CHARS_MAX or not _HMA_NAME_PATTERN.fullmatch(untrusted_name):
        why = f"a name has 1 to {HMA_NAME_CHARS_MAX} characters (A-Z, 0-9, _), and no digit first"
        raise BadParameter(why=why)
    if untrusted_name in {hma_name(bank.name) for bank in platform.bank.banks()}:
        raise BankAlreadyExists
    return BankName(untrusted_name.lower())


def parse_bank_names(untrusted_csv: str, platform: Platform) -> Collection[str] | None:
    """Return the names in a comma-separated list of banks; None if it is empty, which means all.

    Raises NoSuchBank.
    """
    wanted = [name.strip() for name in untrusted_csv.split(",") if name.strip()]
    if not wanted:
        return None
    known = {hma_name(bank.name) for bank in visible_banks(platform)}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise NoSuchBank(bank=unknown[0][:HMA_NAME_CHARS_MAX])
    return frozenset(wanted)
