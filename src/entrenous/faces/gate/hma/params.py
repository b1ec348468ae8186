"""Parameters of a request: in the address, or in a JSON object."""

from typing import Any, Final, TypeVar

import msgspec
from starlette.requests import Request

from entrenous.faces.gate.body import read_body
from entrenous.faces.gate.hma.errors import BadParameter, Missing, NoFetching
from entrenous.model.fingerprint import BadFingerprint
from entrenous.spec import CLAIM_BYTES_MAX, PDQ_BYTES

SIGNAL: Final = "pdq"
CONTENT: Final = "photo"
_HEX: Final = frozenset("0123456789abcdefABCDEF")
_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_FALSE: Final = frozenset({"false", "0", "no", "off", ""})

_T = TypeVar("_T")


def needed(request: Request, name: str) -> str:
    """One parameter of the address; raises Missing."""
    value = request.query_params.get(name)
    if value is None:
        raise Missing(name=name)
    return value


def flag(untrusted_value: object, name: str) -> bool:
    """True or false, as JSON or as text; raises BadParameter."""
    text = str(untrusted_value).lower()
    if text not in _TRUE | _FALSE:
        raise BadParameter(why=f'"{name}" is true or false')
    return text in _TRUE


def no_url(request: Request) -> None:
    """Raises NoFetching when the request wants an address to be fetched."""
    if "url" in request.query_params:
        raise NoFetching


def only_pdq(request: Request, *, needs: bool = False) -> None:
    """Raises BadParameter unless the signal and content types asked for are ours; Missing."""
    query = request.query_params
    wanted = [needed(request, "signal_type")] if needs else query.getlist("signal_type")
    wanted += [one.strip() for one in query.get("types", "").split(",") if one.strip()]
    if any(one != SIGNAL for one in wanted):
        raise BadParameter(why=f'the only signal type here is "{SIGNAL}"')
    if query.get("content_type", CONTENT) != CONTENT:
        raise BadParameter(why=f'the only content type here is "{CONTENT}"')


def bits_of(untrusted_signal: object) -> bytes:
    """A PDQ hash of 32 bytes, from 64 hexadecimal digits; raises BadFingerprint."""
    if not isinstance(untrusted_signal, str) or len(untrusted_signal) != 2 * PDQ_BYTES:
        raise BadFingerprint
    if not set(untrusted_signal) <= _HEX:
        raise BadFingerprint
    return bytes.fromhex(untrusted_signal)


async def json_object(request: Request) -> dict[str, Any]:
    """The body; raises BadParameter, TooLarge."""
    body = await read_body(request, CLAIM_BYTES_MAX)
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
        raise BadParameter(why="the body is no JSON object") from problem


def member(said: dict[str, Any], name: str, kind: type[_T]) -> _T:
    """One member of a JSON object; raises Missing, BadParameter."""
    if name not in said:
        raise Missing(name=name)
    value = said[name]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise BadParameter(why=f'"{name}" has the wrong type')
    return value
