"""How many uploads one account brings in an hour, so that nobody asks without end who is registered
(docs/spec/gate.md section 6.3).

Counted before anything is read, so a refusal for it is the same whatever the upload is. A held
upload counts like one that was let through: if it counted otherwise, whoever sends one again and
again would learn which of the two it is.
"""

import hmac
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from starlette.requests import Request

from entrenous.faces.gate.access import GateAccess, Role, households
from entrenous.model.errors import Malformed, Unreachable
from entrenous.model.secret import Secret

HEADER: Final = "Entrenous-Account"
_ACCOUNT: Final = re.compile(r"[!-~]{1,128}")
# Names in mind at a time, some 30 MB; of others the hour's are not counted.
_KEPT_MAX: Final = 200_000
_NAME_BYTES: Final = 16
_HOUR_S: Final = 3600
# Many people are one name where a hook does not know whose an upload is: so many times as many
# refusals are theirs, and their uploads are not bounded.
_NOBODY_TIMES: Final = 50

#: Under which names somebody is counted, and how many times the limit each of them has.
Names = tuple[tuple[bytes, int], ...]


class TooManyUploads(Unreachable):
    """
    As many uploads came from this account as are taken in an hour, so this one was not looked at.
    Nothing was published. Try again in {minutes} minutes, or ask the people who run this
    platform{where}.
    """


class BadAccount(Malformed):
    """
    The name of an account has 1 to 128 printable characters of ASCII, without a space. Nothing was
    looked at.
    """


@dataclass(slots=True)
class Accounts:
    """Counts in a clock hour, in memory: a restart forgets, an hour forgets. Of an account or an
    address there is a hash with a ``key`` that nobody else has, and nothing else.
    """

    access: GateAccess
    key: Secret
    hour: datetime | None = None
    uploads: dict[bytes, int] = field(default_factory=dict)
    refused: dict[bytes, int] = field(default_factory=dict)

    def of(self, request: Request, role: Role) -> Names:
        """Whom an upload counts for: an operator's server says it, if it knows, and else they are
        one; what an uploader says of herself is not looked at, and her address counts.

        Raises BadAccount.
        """
        if role is Role.OPERATOR:
            said = request.headers.get(HEADER)
            if said is None:
                return self._nobody()
            if not _ACCOUNT.fullmatch(said):
                raise BadAccount
            return ((self._name("account", said), 1),)
        client = request.client.host if request.client else ""
        return tuple((self._name("network", name), times) for name, times in households(client))

    def count(self, names: Names, now: datetime) -> None:
        """One more upload of theirs; raises TooManyUploads."""
        self._begin(now)
        known = () if names == self._nobody() else names
        if _is_full(known, self.uploads, self.access.uploads_per_account) or _is_full(
            names, self.refused, self.access.refused_per_account
        ):
            raise self._too_many(now)
        _add(known, self.uploads)

    def was_refused(self, names: Names, now: datetime) -> None:
        """One that was counted fits what nobody may post."""
        self._begin(now)
        _add(names, self.refused)

    def _begin(self, now: datetime) -> None:
        hour = now.replace(minute=0, second=0, microsecond=0)
        if hour != self.hour:
            self.hour = hour
            self.uploads.clear()
            self.refused.clear()

    def _too_many(self, now: datetime) -> TooManyUploads:
        wait_s = _HOUR_S - now.minute * 60 - now.second
        where = f" here: {self.access.appeal_url}" if self.access.appeal_url else ""
        return TooManyUploads(minutes=-(-wait_s // 60), retry_after_s=wait_s, where=where)

    def _nobody(self) -> Names:
        return ((self._name("nobody", ""), _NOBODY_TIMES),)

    def _name(self, kind: str, text: str) -> bytes:
        said = f"{kind}\0{text}".encode()
        return hmac.digest(self.key.reveal(), said, "sha256")[:_NAME_BYTES]


def _is_full(names: Names, counts: dict[bytes, int], most: int) -> bool:
    return most > 0 and any(counts.get(name, 0) >= most * times for name, times in names)


def _add(names: Names, counts: dict[bytes, int]) -> None:
    for name, _ in names:
        if name in counts or len(counts) < _KEPT_MAX:
            counts[name] = counts.get(name, 0) + 1
