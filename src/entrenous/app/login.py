"""Access to the pages: the one-time link, the browser session that it starts, and the unfinished
input of that session.
"""

import base64
import hmac
import secrets
from dataclasses import dataclass, field
from threading import Lock
from typing import Final

from starlette.datastructures import FormData, UploadFile

SESSION_COOKIE_NAME: Final = "page"
_LOGIN_TOKEN_BYTES: Final = 32
#: The first numbers in the addresses of pages that ask what happened.
_ANSWER_PAGE_NUMBERS: Final = frozenset({"70", "71", "72", "81", "82"})
#: The kinds of handles that stay valid when the app is locked, because pages have them in their
#: addresses and forms. Their names reveal nothing: they are random, or public (lessons).
_KINDS_KEPT_AT_LOCK: Final = frozenset({"draft", "person", "message", "lesson"})


@dataclass(slots=True, eq=False)
class Login:
    """The one-time link, and the one browser session that it starts."""

    link: str = field(default_factory=lambda: secrets.token_urlsafe(_LOGIN_TOKEN_BYTES))
    _cookie: str = field(default_factory=lambda: secrets.token_urlsafe(_LOGIN_TOKEN_BYTES))
    _is_used: bool = False
    _lock: Lock = field(default_factory=Lock)
    _forms: dict[str, FormData] = field(default_factory=dict)
    _handles: dict[tuple[str, str], str] = field(default_factory=dict)
    _named: dict[tuple[str, str], str] = field(default_factory=dict)
    times_left: int = 0  # how often everything typed was forgotten
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(_LOGIN_TOKEN_BYTES))
    #: The person's answers about what happened, by question. When a case is opened from the
    #: answers, the case stores them, and all but the place are removed from here.
    answers: dict[str, str] = field(default_factory=dict)
    _hidden_answers: dict[str, str] = field(default_factory=dict)

    def redeem_link(self, link: str) -> str | None:
        """Return the session cookie if ``link`` is correct and has not been used before."""
        if not hmac.compare_digest(link.encode(), self.link.encode()):
            return None
        with self._lock:
            if self._is_used:
                return None
            self._is_used = True
        return self._cookie

    def is_session_cookie(self, cookie: str | None) -> bool:
        return cookie is not None and hmac.compare_digest(cookie.encode(), self._cookie.encode())

    def handle_for(self, kind: str, name: str) -> str:
        """Return a random handle for a name. Addresses contain handles instead of names, so that
        the browser's history reveals nothing. The handle is valid until :meth:`forget_handles`.
        """
        made = self._handles.setdefault((kind, name), secrets.token_urlsafe(9))
        self._named[kind, made] = name
        return made

    def name_of_handle(self, kind: str, handle: str) -> str | None:
        """Return the name that a handle represents, or None if the handle is unknown."""
        return self._named.get((kind, handle))

    def lasting_handle_for(self, kind: str, name: str) -> str:
        """Return a handle for a name. It stays the same when the app is locked and unlocked.

        These handles are not stored: to find the name, compare the handles of all names.
        """
        made = hmac.digest(self._key, f"{kind}/{name}".encode(), "sha256")
        return base64.urlsafe_b64encode(made[:9]).decode()

    def keep_form(self, path: str, form: FormData) -> None:
        """Keep what was typed, in memory, until the page at ``path`` is shown again. Chosen files
        are not kept; the field ``files_not_kept`` says so.
        """
        fields = form.multi_items()
        kept: list[tuple[str, str | UploadFile]] = [
            (name, value) for name, value in fields if isinstance(value, str)
        ]
        if any(not isinstance(value, str) and value.filename for _, value in fields):
            kept.append(("files_not_kept", "yes"))
        self._forms[path] = FormData(kept)

    def take_form(self, path: str) -> FormData | None:
        """Return and forget what was typed into the page at ``path``; None if nothing is kept."""
        return self._forms.pop(path, None)

    def forget_handles(self) -> None:
        """Forget the handles of :meth:`handle_for`, except the kinds that stay valid when the app
        is locked. Keep the person's input.
        """
        self._handles = _only_kinds_kept_at_lock(self._handles)
        self._named = _only_kinds_kept_at_lock(self._named)

    def hide_answers(self) -> None:
        """Hide the answers until :meth:`restore_answers` is called. Call this when the app is
        locked.
        """
        self._hidden_answers |= self.answers
        self.answers.clear()

    @property
    def has_hidden_answers(self) -> bool:
        return bool(self._hidden_answers)

    def restore_answers(self) -> None:
        """Restore the hidden answers; newer answers take precedence."""
        for question, answer in self._hidden_answers.items():
            self.answers.setdefault(question, answer)
        self._hidden_answers.clear()

    def forget_answers(self) -> None:
        self.answers.clear()
        self._hidden_answers.clear()

    def forget_answers_and_forms(self) -> None:
        """Forget the answers about what happened, also those typed into a form that was kept."""
        self.forget_answers()
        for path in [one for one in self._forms if one.split("/")[1] in _ANSWER_PAGE_NUMBERS]:
            del self._forms[path]

    def forget_input_and_handles(self) -> None:
        """Forget everything typed and every handle."""
        self.times_left += 1
        self.forget_answers()
        self._key = secrets.token_bytes(_LOGIN_TOKEN_BYTES)
        self._forms.clear()
        self._handles.clear()
        self._named.clear()


def _only_kinds_kept_at_lock(by_kind: dict[tuple[str, str], str]) -> dict[tuple[str, str], str]:
    return {key: value for key, value in by_kind.items() if key[0] in _KINDS_KEPT_AT_LOCK}
