"""Which requests bring uploads, and how their answers are handed to the application."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from entrenous.adapters.gate_client.answer import Answer, Said, strictest
from entrenous.adapters.gate_client.form import Unreadable, uploads_in
from entrenous.model.setting import BadSetting

#: What the application reads, e.g. "let through; case=..." or "hold; case=...; why=gate".
HEADER: Final = "Entrenous-Decision"
FILES_MAX: Final = 32  # of one request; each is asked about
_FORM_BYTES_MAX: Final = 64 * 1024  # of headers and other fields, beside the files
_METHODS: Final = frozenset(("POST", "PUT", "PATCH"))
_AGAIN: Final = re.compile(r"/{2,}|/\.(?=/|$)")
_WORD: Final = re.compile(r"[\w-]")
_ON_HOLD: Final = ("refuse", "answer", "header")


@dataclass(frozen=True, slots=True)
class Rules:
    """What a middleware does.

    Args:
        paths: where uploads come: a path and all below it; "/" is every path.
        on_hold: what becomes of a held upload. "refuse" (the default, as nothing is published by
            an application that knows of no holding): it is not accepted, and the uploader told so.
            "answer": it is answered with 202, and stays with the gate's reviewers. "header": the
            application has it, and must keep it back until it is released; only so does an
            uploader not see the difference.

    Raises:
        BadSetting.
    """

    paths: tuple[str, ...] = ("/",)
    on_hold: str = "refuse"

    def __post_init__(self) -> None:
        if self.on_hold not in _ON_HOLD:
            raise BadSetting(name="on_hold", wanted='"refuse", "answer" or "header"')
        if not self.paths or not all(_is_path(path) for path in self.paths):
            raise BadSetting(name="paths", wanted='a list of paths, such as ["/api/v2/media"]')

    def look_at(self, method: str, path: str) -> bool:
        """Whether a request may bring an upload; in doubt, it may."""
        if method.upper() not in _METHODS:
            return False
        read = [_plain(one) for one in _readings(path)]
        if any("/../" in plain for plain in read):
            return True
        return any(_is_below(plain, _plain(own)) for plain in read for own in self.paths)


def rules_of(paths: Iterable[str], on_hold: str) -> Rules:
    """The rules; a text that stands where a list of paths belongs is refused (BadSetting)."""
    return Rules(() if isinstance(paths, str) else tuple(paths), on_hold)


def limit_of(upload_bytes_max: int) -> int:
    """How much of a body is kept in memory until its answer is there."""
    return upload_bytes_max + _FORM_BYTES_MAX


def files_of(untrusted_body: bytes, types: list[str], encodings: list[str]) -> list[bytes]:
    """The uploads in a body; ``types`` and ``encodings`` are the values of Content-Type and
    Content-Encoding.

    Raises:
        Unreadable: also when one of these headers stands there twice.
    """
    if len(types) > 1 or len(encodings) > 1:
        raise Unreadable
    return uploads_in(untrusted_body, "".join(types), "".join(encodings))


def settled(files: list[bytes], ask: Callable[[bytes], Answer]) -> Answer | None:
    """The strictest answer about these files, None for none; asks until one is refused."""
    answers: list[Answer] = []
    for untrusted_data in files:
        answers.append(ask(untrusted_data))
        if answers[-1].said is Said.REFUSE:
            break
    return strictest(answers)


def header_value(answer: Answer) -> str:
    """For the application, e.g. "hold; case=3f9a-70c2-b11e; secret=...; why=gate"."""
    case = f"; case={answer.case}" if answer.case else ""
    case += f"; secret={answer.secret}" if answer.secret else ""
    shadow = "; shadow" if answer.shadow else ""
    return f"{answer.said.value}{case}; why={answer.why.value.replace(' ', '-')}{shadow}"


def _is_path(path: object) -> bool:
    return isinstance(path, str) and path.startswith("/")


def _readings(path: str) -> list[str]:
    """What servers may take it for: some read "//name/path", and "http://name/path", as a path at
    another host (RFC 3986, section 4.2), others as a path whose slashes repeat.
    """
    host, mark, rest = path.partition("//")
    if not mark or "/" in host:
        return [path]
    return [path, "/" + rest.lstrip("/").partition("/")[2]]


def _plain(path: str) -> str:
    """As servers read paths: repeated slashes are one, and many do not tell cases apart."""
    return _AGAIN.sub("/", path + "/").replace("//", "/").casefold()


def _is_below(plain: str, own: str) -> bool:
    """Servers lead "media", "media/", "media.json" and "media;a=b" to one place: so what follows
    may be anything but the rest of a longer word.
    """
    own = own.rstrip("/")
    return plain.startswith(own) and _WORD.match(plain[len(own) :]) is None
