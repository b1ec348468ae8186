"""Synapse module that asks the gate about each file in a Matrix server's media repository."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from synapse.module_api import NOT_SPAM, ModuleApi
from synapse.module_api.errors import Codes, ConfigError

from entrenous.base.environment import BadSetting
from entrenous.stop.client.gate_answer import (
    ClientSettings,
    GateAnswer,
    GateVerdict,
    read_client_settings,
)
from entrenous.stop.client.upload_client import GateClient

try:
    from synapse.logging.context import current_context
# This function is not part of Synapse's module API. Without it, uploads are not counted per person.
except ImportError:

    def current_context() -> None:
        """Stand in for Synapse's function; there is no context."""


_LOG: Final = logging.getLogger("entrenous.hooks")
_ON_HOLD_CHOICES: Final = ("publish", "quarantine")
#: Prefix of the case in ``quarantined_by``, so that only files hidden by us are shown again.
_CASE_PREFIX: Final = "entrenous "
# Synapse inserts a file's row only after the check, so hiding it is retried until the row exists.
_HIDE_RETRY_MS: Final = 25
_HIDE_ATTEMPTS_MAX: Final = 2400  # 2400 attempts, 25 ms apart, take a minute
_POLL_INTERVAL_MS: Final = 60_000
_CASES_PER_QUERY_MAX: Final = 100  # at most this many cases are queried at a time
_HIDE_OWN_FILE_SQL: Final = """
UPDATE local_media_repository SET quarantined_by = ?
WHERE media_id = ? AND media_length IS NOT NULL
"""
_HIDE_REMOTE_FILE_SQL: Final = """
UPDATE remote_media_cache SET quarantined_by = ? WHERE filesystem_id = ? AND media_origin = ?
"""
_SELECT_HIDDEN_CASES_SQL: Final = """
SELECT quarantined_by FROM local_media_repository WHERE quarantined_by LIKE ?
UNION SELECT quarantined_by FROM remote_media_cache WHERE quarantined_by LIKE ?
"""
_UNHIDE_STATEMENTS: Final = (
    "UPDATE local_media_repository SET quarantined_by = NULL WHERE quarantined_by = ?",
    "UPDATE remote_media_cache SET quarantined_by = NULL WHERE quarantined_by = ?",
)


@dataclass(frozen=True, slots=True)
class ModuleSetting:
    """The settings of the hook, and what to do with files that are held because they match a claim.

    ``on_hold``: "publish" (the default) publishes such a file, and the gate lists it as published.
    "quarantine" hides it by Synapse's own quarantine column until a reviewer has decided; the
    uploader can see that the file is hidden. Files that could not be checked are refused, except
    that "quarantine" hides those for which the gate has a case.
    """

    hook: ClientSettings
    on_hold: str = "publish"

    def __post_init__(self) -> None:
        if self.on_hold not in _ON_HOLD_CHOICES:
            raise BadSetting(name="on_hold", wanted='"publish" or "quarantine"')


class GateModule:
    """The module class that Synapse loads."""

    def __init__(self, config: ModuleSetting, api: ModuleApi) -> None:
        self._api = api
        self._setting = config
        self._client = GateClient(config.hook)
        self._hidden: dict[str, None] = {}  # cases, the least recently queried first
        self._knows_all = False  # whether files hidden before this start have been read
        api.register_spam_checker_callbacks(
            check_media_file_for_spam=self.check_media_file_for_spam
        )
        if config.on_hold == "quarantine":
            api.looping_background_call(
                self._unhide_decided_files,
                _POLL_INTERVAL_MS,
                desc="entrenous_show",
                run_on_all_instances=True,
            )

    @staticmethod
    def parse_config(config: Mapping[str, Any]) -> ModuleSetting:
        """Parse the section in homeserver.yaml; raises ConfigError, which Synapse shows."""
        rest = dict(config or {})
        on_hold = rest.pop("on_hold", "publish")
        try:
            return ModuleSetting(read_client_settings(rest), on_hold)
        except BadSetting as problem:
            raise ConfigError(" ".join(str(problem).split())) from None

    async def check_media_file_for_spam(self, file_wrapper: Any, file_info: Any) -> Any:
        """Return NOT_SPAM, or the error code for refusing the file.

        Thumbnails pass: Synapse makes them from files that passed.
        """
        if file_info.thumbnail is not None:
            return NOT_SPAM
        publishes = self._setting.on_hold == "publish"
        ask = partial(self._client.ask_file, publishes_held=publishes)
        answer = await self._api.defer_to_thread(
            ask, Path(file_wrapper.path), file_info.file_id, _uploading_user(file_info)
        )
        if self._should_hide(answer):
            self._hide_soon(file_info.server_name, file_info.file_id, answer.case)
            return NOT_SPAM
        return NOT_SPAM if answer.action is GateVerdict.LET_THROUGH else Codes.FORBIDDEN

    def _should_hide(self, answer: GateAnswer) -> bool:
        is_held = answer.action is GateVerdict.HOLD and bool(answer.case)
        return is_held and self._setting.on_hold == "quarantine"

    def _hide_soon(
        self, server: str | None, file: str, case: str, attempts: int = _HIDE_ATTEMPTS_MAX
    ) -> None:
        self._api.delayed_background_call(
            _HIDE_RETRY_MS, self._hide, server, file, case, attempts, desc="entrenous_hide"
        )

    async def _hide(self, server: str | None, file: str, case: str, attempts: int) -> None:
        """Quarantine this one file as soon as it has a row.

        Synapse's own function would hide all copies of the same bytes, including those uploaded
        before the claim.
        """
        by = _CASE_PREFIX + case
        sql, values = (
            (_HIDE_OWN_FILE_SQL, (by, file))
            if server is None
            else (_HIDE_REMOTE_FILE_SQL, (by, file, server))
        )
        if await self._api.run_db_interaction("entrenous_hide", _execute_statement, sql, values):
            self._hidden[case] = None
        elif attempts > 0:
            self._hide_soon(server, file, case, attempts - 1)
        else:
            _LOG.warning("not hidden, since it has no row: case=%s", case)

    async def _unhide_decided_files(self) -> None:
        """Show files that a reviewer released or whose claim was withdrawn."""
        if not self._knows_all:
            found = await self._api.run_db_interaction("entrenous_hidden", _select_hidden_cases)
            self._hidden |= {by.removeprefix(_CASE_PREFIX): None for by in found}
            self._knows_all = True
        for case in list(self._hidden)[:_CASES_PER_QUERY_MAX]:
            state = await self._api.defer_to_thread(self._client.review_state, case)
            del self._hidden[case]
            if state in ("released", "closed"):
                for sql in _UNHIDE_STATEMENTS:
                    await self._api.run_db_interaction(
                        "entrenous_show", _execute_statement, sql, (_CASE_PREFIX + case,)
                    )
            elif state != "confirmed":
                # Move the case to the end, so that the others are queried first.
                self._hidden[case] = None


def _execute_statement(transaction: Any, sql: str, values: tuple[str, ...]) -> int:
    """Execute a statement; return the number of rows that it changed."""
    transaction.execute(sql, values)
    return int(transaction.rowcount)


def _select_hidden_cases(transaction: Any) -> list[str]:
    transaction.execute(_SELECT_HIDDEN_CASES_SQL, (_CASE_PREFIX + "%", _CASE_PREFIX + "%"))
    return [str(value) for (value,) in transaction.fetchall()]


def _uploading_user(file_info: Any) -> str:
    """Return the uploading user, such as @ana:house.example, or "" for another server's file.

    Synapse does not pass the user to modules, but the user is in the context of the present
    request. For another server's file, that request comes from somebody who wants to view the file.
    """
    if file_info.server_name is not None:
        return ""
    request = getattr(current_context(), "request", None)
    return str(getattr(request, "requester", None) or "")
