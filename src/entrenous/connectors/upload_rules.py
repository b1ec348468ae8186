"""Determine which requests may contain uploads, and build replies to uploaders and the header that
tells the application the gate's decision.
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
from entrenous.stop.client.gate_answer import GateAnswer, GateReason, GateVerdict, strictest_answer
from entrenous.stop.client.uploaded_files import Unreadable, extract_uploads

PROBLEM_MEDIA_TYPE: Final = "application/problem+json"  # RFC 9457
_RETRY_AFTER_S: Final = 30


class StoppedUpload(Refused):
    """
    This upload was not accepted, because it matches something that somebody asked this site to keep
    out. Nothing was published. If you think that this is a mistake, ask the people who run this
    site to look at the upload, and give them the case number {case}{where}.
    """


class HeldUpload(Refused):
    """
    This upload could not be read, so a person has to check it first. It has not been accepted yet,
    and nothing was published. Save the picture or video again as a new file and send that, or ask
    the people who run this site to look at the upload, and give them the case number {case}{where}.
    """


class UncheckedUpload(Unreachable):
    """
    This upload could not be checked at the moment, so it was not accepted. Nothing was published.
    Try again in a minute.
    """


class ManyUploads(Unreachable):
    """
    This account has reached its limit of uploads per hour, so this one was not accepted. Nothing
    was published. Try again in {minutes} minutes, or ask the people who run this site for
    help{where}.
    """


class UncheckableUpload(Refused):
    """
    Files of this kind cannot be checked here, so this one was not accepted. Nothing was published.
    Send a picture as JPEG or PNG, or ask the people who run this site for help.
    """


class LargeUpload(Refused):
    """
    This upload is too large to be checked here, so it was not accepted. Nothing was published. Send
    fewer files at once, or smaller ones.
    """


class OddUpload(Malformed):
    """
    It is not clear which files this form contains, so the upload was not accepted. Nothing was
    published. Try again with another browser or app.
    """


class SlowUpload(Refused):
    """
    This upload took too long to arrive, so it was cancelled. Nothing was published. Try again over
    a better connection, or send a smaller version.
    """


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP reply.

    ``kind`` is the media type of the ``body``, and ``retry_after_s`` is the value of Retry-After,
    None for no such header.
    """

    status: int
    kind: str
    body: bytes
    retry_after_s: int | None = None


_ERRORS_WITHOUT_DECISION: Final[dict[GateReason, tuple[type[EntrenousError], int]]] = {
    GateReason.TOO_LARGE: (LargeUpload, 413),
    GateReason.TOO_MANY: (LargeUpload, 413),
    GateReason.OTHER_MEDIA: (UncheckableUpload, 415),
    GateReason.OTHER_FILE: (UncheckableUpload, 415),
    GateReason.UNREADABLE: (OddUpload, 400),
    GateReason.ACCOUNT: (ManyUploads, 429),
}


def error_for_uploader(answer: GateAnswer, appeal_url: str) -> EntrenousError | None:
    """Return the error for the uploader of a file that was not accepted; None if it passes."""
    if answer.action is GateVerdict.LET_THROUGH:
        return None
    facts = {"where": f" here: {appeal_url}" if appeal_url else "", "case": answer.case}
    if answer.action is GateVerdict.REFUSE:
        return StoppedUpload(**facts)
    if answer.case:
        return HeldUpload(**facts)
    kind, _ = _ERRORS_WITHOUT_DECISION.get(answer.reason, (UncheckedUpload, 503))
    return kind(**facts, minutes=-(-(answer.retry_after_s or 0) // 60))


def reply_to(answer: GateAnswer, on_hold: str, appeal_url: str) -> Reply | None:
    """Return the reply to a request that is not accepted; None if the application is to receive it.

    ``on_hold`` is explained at :class:`entrenous.connectors.upload_rules.UploadRules`.
    """
    error = error_for_uploader(answer, appeal_url)
    if error is None or (answer.action is GateVerdict.HOLD and on_hold == "header"):
        return None
    status = (
        422
        if answer.case
        else _ERRORS_WITHOUT_DECISION.get(answer.reason, (UncheckedUpload, 503))[1]
    )
    return replace(
        problem_reply(error, status, **_appeal_members(answer)),
        retry_after_s=_retry_after_s(answer, status),
    )


def _retry_after_s(answer: GateAnswer, status: int) -> int | None:
    return _RETRY_AFTER_S if status == 503 else answer.retry_after_s


def _appeal_members(answer: GateAnswer) -> dict[str, str]:
    """Return the fields of a problem document that the uploader needs for an appeal: case number
    and secret.
    """
    named = {"case": answer.case, "secret": answer.secret}
    return {name: value for name, value in named.items() if value}


def problem_reply(error: EntrenousError, status: int, **more: str) -> Reply:
    """Return a problem document (RFC 9457) about an error, with further members."""
    name = "".join(f"-{one.lower()}" if one.isupper() else one for one in type(error).__name__)[1:]
    document = {
        "type": f"urn:entrenous:{error.family}:{name}",
        "title": name.replace("-", " ").capitalize(),
        "status": status,
        "detail": one_line_message(error),
        **more,
    }
    return Reply(status, PROBLEM_MEDIA_TYPE, json.dumps(document).encode())


def reply_headers(reply: Reply) -> list[tuple[str, str]]:
    again = [] if reply.retry_after_s is None else [("Retry-After", str(reply.retry_after_s))]
    length = ("Content-Length", str(len(reply.body)))
    return [("Content-Type", reply.kind), length, ("Cache-Control", "no-store"), *again]


def one_line_message(error: EntrenousError | None) -> str:
    """Return an error's message in one line; "" for None."""
    return "" if error is None else " ".join(str(error).split())


#: Header for the application, e.g. "let through; case=..." or "hold; case=...; why=gate".
DECISION_HEADER: Final = "Entrenous-Decision"
FILES_MAX: Final = 32  # files per request; the gate is asked about each
_FORM_BYTES_BESIDE_FILES_MAX: Final = 64 * 1024  # bytes of headers and other fields
_UPLOAD_METHODS: Final = frozenset(("POST", "PUT", "PATCH"))
_WORD_CHARACTER_PATTERN: Final = re.compile(r"[\w-]")
# Servers parse some paths differently. This matches such a path as it was sent: one of the
# characters . / ; \ % is percent-encoded in it.
_ENCODED_SPECIAL_PATTERN: Final = re.compile(r"%(?:2[ef5]|3b|5c)", re.IGNORECASE)
# This matches such a path after it was decoded. The path contains one of these: a percent sign; a
# semicolon (Java servers drop the parameters after it); a backslash (a slash to some servers);
# invalid UTF-8; an empty segment; a segment that ends with a dot or a space (Windows drops these);
# or the name of a script before the route (as PHP servers accept).
_AMBIGUOUS_PATH_PATTERN: Final = re.compile(
    r"[%;\\\ufffd]|//|[. ](?:/|$)|\.(?:php\d?|phtml|f?cgi|pl|aspx?|ashx|jsp)/"
)
_ON_HOLD_CHOICES: Final = ("publish", "header")


@dataclass(frozen=True, slots=True)
class UploadRules:
    """Which requests a middleware checks, and what happens to held uploads.

    Args:
        paths: the paths of uploads, each with all paths below it; upper and lower case count as the
            same, and "/" means every path. A path that servers may parse differently counts as a
            path of uploads.
        on_hold: what to do with an upload that is held because it matches a claim. "publish" (the
            default, for applications that cannot keep an upload back): the application receives the
            upload, and the gate lists it as published until a reviewer has decided. "header": the
            application receives it, and must withhold it until it is released. With either value,
            such an upload is refused only once the claim is confirmed. An upload that could not be
            checked is refused with "publish"; with "header", the application receives it and must
            withhold it.

    Raises:
        BadSetting.
    """

    paths: tuple[str, ...] = ("/",)
    on_hold: str = "publish"

    def __post_init__(self) -> None:
        if self.on_hold not in _ON_HOLD_CHOICES:
            raise BadSetting(name="on_hold", wanted='"publish" or "header"')
        if not self.paths or not all(_is_plain_absolute_path(path) for path in self.paths):
            raise BadSetting(name="paths", wanted='a list of paths, such as ["/api/v2/media"]')

    @property
    def publishes_held(self) -> bool:
        """Return whether an upload that is held because it matches a claim is published anyway."""
        return self.on_hold == "publish"

    def may_contain_upload(
        self, method: str, path: str, untrusted_target: bytes = b"", *, has_body: bool = False
    ) -> bool:
        """Return whether a request may contain an upload; True if that is uncertain.

        Args:
            method: GET, POST, ... With some servers, the query or a header can replace it, so every
                request with a body counts.
            path: the path as the server decoded it.
            untrusted_target: the path as it was sent, if the server provides it, since an
                application behind the server may decode it differently.
            has_body: the request may have a body.
        """
        if not has_body and method.upper() not in _UPLOAD_METHODS:
            return False
        sent = untrusted_target.decode(errors="replace").partition("?")[0]
        if _ENCODED_SPECIAL_PATTERN.search(sent):
            return True
        return self._is_upload_path(path) or (bool(sent) and self._is_upload_path(unquote(sent)))

    def _is_upload_path(self, decoded: str) -> bool:
        plain = _normalize_path(decoded)
        is_odd = not plain.isprintable() or _AMBIGUOUS_PATH_PATTERN.search(plain) is not None
        return is_odd or any(
            _is_below(plain, _normalize_path(own))
            for own in map(_normalize_operator_path, self.paths)
        )


def make_rules(paths: Iterable[str], on_hold: str) -> UploadRules:
    """Build rules; raises BadSetting, for example if ``paths`` is a string instead of a list."""
    return UploadRules(() if isinstance(paths, str) else tuple(paths), on_hold)


def may_have_body(length: str | None, transfer_encoding: str | None, version: str) -> bool:
    """Return whether a request with these headers may have a body (RFC 9112, section 6.3).

    ``version`` is that of HTTP, such as "1.1"; from version 2 on, a body needs no header.
    """
    if transfer_encoding is not None:
        return True
    return length != "0" if length is not None else not version.startswith("1.")


def body_bytes_limit(upload_bytes_max: int) -> int:
    """Return how many bytes of a body may be kept in memory until the gate has answered."""
    return upload_bytes_max + _FORM_BYTES_BESIDE_FILES_MAX


def uploads_in_body(untrusted_body: bytes, types: list[str], encodings: list[str]) -> list[bytes]:
    """Return the bytes of each upload in a body.

    ``types`` and ``encodings`` are the values of Content-Type and Content-Encoding.

    Raises:
        Unreadable: the body could be parsed in different ways, or one of these headers is repeated.
    """
    if len(types) > 1 or len(encodings) > 1:
        raise Unreadable
    return extract_uploads(untrusted_body, "".join(types), "".join(encodings))


def ask_about_files(files: list[bytes], ask: Callable[[bytes], GateAnswer]) -> GateAnswer | None:
    """Ask about each file until one is refused; return the strictest answer, None if there is no
    file.

    In shadow mode nothing is refused, so the gate is asked about all files.
    """
    answers: list[GateAnswer] = []
    for untrusted_data in files:
        answers.append(ask(untrusted_data))
        if answers[-1].action is GateVerdict.REFUSE:
            break
    return strictest_answer(answers)


def decision_header_value(answer: GateAnswer) -> str:
    """Return the value of the header for the application, e.g. "hold; case=3f9a-70c2-b11e;
    secret=...; why=gate".
    """
    case = f"; case={answer.case}" if answer.case else ""
    case += f"; secret={answer.secret}" if answer.secret else ""
    also = f"; also={','.join(answer.also)}" if answer.also else ""
    shadow = "; shadow" if answer.shadow else ""
    listed = "; published" if answer.listed else ""
    why = answer.reason.value.replace(" ", "-")
    return f"{answer.verdict.value}{case}; why={why}{also}{shadow}{listed}"


def _is_plain_absolute_path(path: object) -> bool:
    if not isinstance(path, str) or not path.startswith("/"):
        return False
    return {".", ".."}.isdisjoint(path.split("/"))


def _normalize_operator_path(operator_path: str) -> str:
    """Normalize a path that the operator configured: decode it, and merge repeated slashes."""
    return re.sub("/+", "/", unquote(operator_path))


def _normalize_path(path: str) -> str:
    """Normalize case, Unicode form and a missing first slash, as the most lenient servers do."""
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", path).casefold())
    return plain if plain.startswith("/") else f"/{plain}"


def _is_below(plain: str, operator_path: str) -> bool:
    """Return whether ``plain`` is ``operator_path`` or below it.

    Servers map "media", "media/", "media.json" and "media:a" to one route, so ``operator_path`` may
    be followed by anything except the rest of a longer word.
    """
    operator_path = operator_path.rstrip("/")
    return (
        plain.startswith(operator_path)
        and _WORD_CHARACTER_PATTERN.match(plain[len(operator_path) :]) is None
    )
