"""Which requests bring uploads, and what the application and the uploader get for an answer.

The uploader reads what to do next, and no details.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import unquote

from entrenous.base.environment import BadSetting
from entrenous.base.errors import EntrenousError, Malformed, Refused, Unreachable
from entrenous.stop.client.gate_answer import GateAnswer, GateReason, GateVerdict, strictest
from entrenous.stop.client.uploaded_files import Unreadable, uploads_in

PROBLEM_TYPE: Final = "application/problem+json"  # RFC 9457
_RETRY_S: Final = 30


class StoppedUpload(Refused):
    """
    This upload was not accepted, because somebody asked for it to be stopped. If you think that is
    a mistake, ask for a person to look at it{where}, and give the case number {case}.
    """


class HeldUpload(Refused):
    """
    This upload could not be read, so it has to be checked by a person first and was not accepted
    yet. Nothing was published. Save it anew and send that, or ask the people who run this
    site{where}, and give the case number {case}.
    """


class UncheckedUpload(Unreachable):
    """
    This upload could not be checked just now, so it was not accepted. Nothing was published. Try
    again in a minute.
    """


class ManyUploads(Unreachable):
    """
    As many uploads came from this account as are checked in an hour, so this one was not accepted.
    Nothing was published. Try again in {minutes} minutes, or ask the people who run this
    site{where}.
    """


class UncheckableUpload(Refused):
    """
    Files of this kind can't be checked here, so it was not accepted. Nothing was published. Send a
    picture, as JPEG or PNG, or ask the people who run this site.
    """


class LargeUpload(Refused):
    """
    This upload is larger than what can be checked here, so it was not accepted. Nothing was
    published. Send fewer files at once, or smaller ones.
    """


class OddUpload(Malformed):
    """
    This upload was sent in a form that can't be read with certainty, so it was not accepted.
    Nothing was published. Try again with another browser or app.
    """


class SlowUpload(Refused):
    """
    This upload took too long to arrive, so it was given up. Nothing was published. Try again over
    a better connection, or send a smaller version.
    """


@dataclass(frozen=True, slots=True)
class Reply:
    """A status, a media type, a body; ``again_s``: when it may be worth trying again."""

    status: int
    kind: str
    body: bytes
    again_s: int | None = None


_UNASKED: Final[dict[GateReason, tuple[type[EntrenousError], int]]] = {
    GateReason.TOO_LARGE: (LargeUpload, 413),
    GateReason.TOO_MANY: (LargeUpload, 413),
    GateReason.OTHER_MEDIA: (UncheckableUpload, 415),
    GateReason.OTHER_FILE: (UncheckableUpload, 415),
    GateReason.UNREADABLE: (OddUpload, 400),
    GateReason.ACCOUNT: (ManyUploads, 429),
}


def error_for(answer: GateAnswer, appeal_url: str) -> EntrenousError | None:
    """What the uploader is told of a file that was not accepted; None for one that passes."""
    if answer.acts is GateVerdict.LET_THROUGH:
        return None
    facts = {"where": f" here: {appeal_url}" if appeal_url else "", "case": answer.case}
    if answer.acts is GateVerdict.REFUSE:
        return StoppedUpload(**facts)
    if answer.case:
        return HeldUpload(**facts)
    kind, _ = _UNASKED.get(answer.why, (UncheckedUpload, 503))
    return kind(**facts, minutes=-(-(answer.again_s or 0) // 60))


def reply_to(answer: GateAnswer, on_hold: str, appeal_url: str) -> Reply | None:
    """What is answered at once; None when the application is to have the request.

    ``on_hold`` is that of :class:`entrenous.connectors.upload_rules.Rules`.
    """
    error = error_for(answer, appeal_url)
    if error is None or (answer.acts is GateVerdict.HOLD and on_hold == "header"):
        return None
    status = 422 if answer.case else _UNASKED.get(answer.why, (UncheckedUpload, 503))[1]
    return replace(problem(error, status, **_named(answer)), again_s=_again_s(answer, status))


def _again_s(answer: GateAnswer, status: int) -> int | None:
    return _RETRY_S if status == 503 else answer.again_s


def _named(answer: GateAnswer) -> dict[str, str]:
    """What the uploader needs to appeal."""
    named = {"case": answer.case, "secret": answer.secret}
    return {name: value for name, value in named.items() if value}


def problem(error: EntrenousError, status: int, **more: str) -> Reply:
    """A problem document as every face answers it, with members of its own."""
    name = "".join(f"-{one.lower()}" if one.isupper() else one for one in type(error).__name__)[1:]
    document = {
        "type": f"urn:entrenous:{error.family}:{name}",
        "title": name.replace("-", " ").capitalize(),
        "status": status,
        "detail": reply_text(error),
        **more,
    }
    return Reply(status, PROBLEM_TYPE, json.dumps(document).encode())


def headers_of(reply: Reply) -> list[tuple[str, str]]:
    """The headers that go with it."""
    again = [] if reply.again_s is None else [("Retry-After", str(reply.again_s))]
    length = ("Content-Length", str(len(reply.body)))
    return [("Content-Type", reply.kind), length, ("Cache-Control", "no-store"), *again]


def reply_text(error: EntrenousError | None) -> str:
    """An error's message in one line; nothing for none."""
    return "" if error is None else " ".join(str(error).split())


#: What the application reads, e.g. "let through; case=..." or "hold; case=...; why=gate".
HEADER: Final = "Entrenous-Decision"
FILES_MAX: Final = 32  # of one request; each is asked about
_FORM_BYTES_MAX: Final = 64 * 1024  # of headers and other fields, beside the files
_METHODS: Final = frozenset(("POST", "PUT", "PATCH"))
_WORD: Final = re.compile(r"[\w-]")
# Servers disagree about a path in which, as it was sent, one of . / ; \ % is written in hexadecimal
_WRITTEN_ODDLY: Final = re.compile(r"%(?:2[ef5]|3b|5c)", re.IGNORECASE)
# and, once it is decoded, about: what is still encoded; parameters of a segment (Java servers drop
# them); backslashes, which some take for slashes; bytes that were no UTF-8; empty segments; dots
# and spaces at the end of a segment, which Windows drops; and a script in front of a route (PHP).
_READ_IN_MANY_WAYS: Final = re.compile(
    r"[%;\\\ufffd]|//|[. ](?:/|$)|\.(?:php\d?|phtml|f?cgi|pl|aspx?|ashx|jsp)/"
)
_ON_HOLD: Final = ("publish", "header")


@dataclass(frozen=True, slots=True)
class Rules:
    """What a middleware does.

    Args:
        paths: where uploads come: a path and all below it, in any case; "/" is every path. What
            servers may read in more than one way counts as one of them.
        on_hold: what becomes of an upload that the gate holds because it fits a claim. "publish"
            (the default, for an application that has no place where it could wait): the application
            has it as any other, and the gate lists it as published until a person has decided.
            "header": the application has it, and must keep it back until it is released. What a
            person has not confirmed is refused by neither. What nobody could look at is not
            accepted by the first, and handed on to be kept back by the second.

    Raises:
        BadSetting.
    """

    paths: tuple[str, ...] = ("/",)
    on_hold: str = "publish"

    def __post_init__(self) -> None:
        if self.on_hold not in _ON_HOLD:
            raise BadSetting(name="on_hold", wanted='"publish" or "header"')
        if not self.paths or not all(_is_path(path) for path in self.paths):
            raise BadSetting(name="paths", wanted='a list of paths, such as ["/api/v2/media"]')

    @property
    def publishes_held(self) -> bool:
        """Whether what is held for a claim is published all the same."""
        return self.on_hold == "publish"

    def look_at(self, method: str, path: str, untrusted_target: bytes = b"") -> bool:
        """Whether a request may bring an upload; in doubt, it may.

        Args:
            method: GET, POST, ...
            path: as the server that called the hook has decoded it.
            untrusted_target: the same as it was sent, where that server tells: somebody behind may
                decode it in another way.
        """
        if method.upper() not in _METHODS:
            return False
        sent = untrusted_target.decode(errors="replace").partition("?")[0]
        if _WRITTEN_ODDLY.search(sent):
            return True
        return self._covers(path) or (bool(sent) and self._covers(unquote(sent)))

    def _covers(self, decoded: str) -> bool:
        plain = _plain(decoded)
        is_odd = not plain.isprintable() or _READ_IN_MANY_WAYS.search(plain) is not None
        return is_odd or any(_is_below(plain, _plain(own)) for own in map(_written, self.paths))


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


def settled(files: list[bytes], ask: Callable[[bytes], GateAnswer]) -> GateAnswer | None:
    """The strictest answer about these files, None for none; asks until one is refused, and in
    shadow, where none is, about all of them.
    """
    answers: list[GateAnswer] = []
    for untrusted_data in files:
        answers.append(ask(untrusted_data))
        if answers[-1].acts is GateVerdict.REFUSE:
            break
    return strictest(answers)


def header_value(answer: GateAnswer) -> str:
    """For the application, e.g. "hold; case=3f9a-70c2-b11e; secret=...; why=gate"."""
    case = f"; case={answer.case}" if answer.case else ""
    case += f"; secret={answer.secret}" if answer.secret else ""
    also = f"; also={','.join(answer.also)}" if answer.also else ""
    shadow = "; shadow" if answer.shadow else ""
    listed = "; published" if answer.listed else ""
    why = answer.why.value.replace(" ", "-")
    return f"{answer.said.value}{case}; why={why}{also}{shadow}{listed}"


def _is_path(path: object) -> bool:
    if not isinstance(path, str) or not path.startswith("/"):
        return False
    return {".", ".."}.isdisjoint(path.split("/"))


def _written(own: str) -> str:
    """A path as its operator may write it: encoded or not, with slashes that repeat."""
    return re.sub("/+", "/", unquote(own))


def _plain(path: str) -> str:
    """As the most lenient servers compare paths: without regard to case or to how a letter is
    written in Unicode, and with the slash in front that some do not ask for.
    """
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", path).casefold())
    return plain if plain.startswith("/") else f"/{plain}"


def _is_below(plain: str, own: str) -> bool:
    """Servers lead "media", "media/", "media.json" and "media:a" to one place: so what follows may
    be anything but the rest of a longer word.
    """
    own = own.rstrip("/")
    return plain.startswith(own) and _WORD.match(plain[len(own) :]) is None
