"""Synapse: a module that asks the gate about each file of a Matrix server's media repository."""

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
except ImportError:  # not of its module API: should it move, uploads are not counted by person

    def current_context() -> None:
        """None is known."""


_LOG: Final = logging.getLogger("entrenous.hooks")
_CHOICES: Final = ("publish", "quarantine")
#: Before the case in ``quarantined_by``, so that only what we hid is shown again.
_BY: Final = "entrenous "
# Synapse writes a file's row after the file was looked at: then it is hidden.
_HIDE_MS: Final = 25
_HIDE_TRIES: Final = 2400  # a minute of these
_ASK_MS: Final = 60_000
_ASKED_MAX: Final = 100  # cases at a time
_HIDE_OWN: Final = """
UPDATE local_media_repository SET quarantined_by = ?
WHERE media_id = ? AND media_length IS NOT NULL
"""
_HIDE_REMOTE: Final = """
UPDATE remote_media_cache SET quarantined_by = ? WHERE filesystem_id = ? AND media_origin = ?
"""
_HIDDEN: Final = """
SELECT quarantined_by FROM local_media_repository WHERE quarantined_by LIKE ?
UNION SELECT quarantined_by FROM remote_media_cache WHERE quarantined_by LIKE ?
"""
_SHOW: Final = (
    "UPDATE local_media_repository SET quarantined_by = NULL WHERE quarantined_by = ?",
    "UPDATE remote_media_cache SET quarantined_by = NULL WHERE quarantined_by = ?",
)


@dataclass(frozen=True, slots=True)
class ModuleSetting:
    """The hook's own setting, and what becomes of a file that is held because it fits a claim.

    ``on_hold``: "publish" (unless the operator says "quarantine") publishes it, and the gate lists
    it as published. "quarantine" hides it, by Synapse's own column for that, until a person at the
    gate has decided; its uploader sees that. What nobody could look at is refused by the first; by
    the second if the gate has no case of it.
    """

    hook: ClientSettings
    on_hold: str = "publish"

    def __post_init__(self) -> None:
        if self.on_hold not in _CHOICES:
            raise BadSetting(name="on_hold", wanted='"publish" or "quarantine"')


class GateModule:
    """The module, as Synapse loads it."""

    def __init__(self, config: ModuleSetting, api: ModuleApi) -> None:
        self._api = api
        self._setting = config
        self._client = GateClient(config.hook)
        self._hidden: dict[str, None] = {}  # cases, those that were asked about last behind
        self._knows_all = False  # also what was hidden before Synapse's last start
        api.register_spam_checker_callbacks(
            check_media_file_for_spam=self.check_media_file_for_spam
        )
        if config.on_hold == "quarantine":
            api.looping_background_call(
                self._show_again, _ASK_MS, desc="entrenous_show", run_on_all_instances=True
            )

    @staticmethod
    def parse_config(config: Mapping[str, Any]) -> ModuleSetting:
        """The module's section of homeserver.yaml; raises ConfigError, which Synapse shows."""
        rest = dict(config or {})
        on_hold = rest.pop("on_hold", "publish")
        try:
            return ModuleSetting(read_client_settings(rest), on_hold)
        except BadSetting as problem:
            raise ConfigError(" ".join(str(problem).split())) from None

    async def check_media_file_for_spam(self, file_wrapper: Any, file_info: Any) -> Any:
        """NOT_SPAM, or the code with which Synapse refuses the file.

        Thumbnails pass: Synapse made them itself, of a file that passed.
        """
        if file_info.thumbnail is not None:
            return NOT_SPAM
        publishes = self._setting.on_hold == "publish"
        ask = partial(self._client.ask_file, publishes_held=publishes)
        answer = await self._api.defer_to_thread(
            ask, Path(file_wrapper.path), file_info.file_id, _sender(file_info)
        )
        if self._is_hidden(answer):
            self._hide_soon(file_info.server_name, file_info.file_id, answer.case)
            return NOT_SPAM
        return NOT_SPAM if answer.acts is GateVerdict.LET_THROUGH else Codes.FORBIDDEN

    def _is_hidden(self, answer: GateAnswer) -> bool:
        is_held = answer.acts is GateVerdict.HOLD and bool(answer.case)
        return is_held and self._setting.on_hold == "quarantine"

    def _hide_soon(
        self, server: str | None, file: str, case: str, tries: int = _HIDE_TRIES
    ) -> None:
        self._api.delayed_background_call(
            _HIDE_MS, self._hide, server, file, case, tries, desc="entrenous_hide"
        )

    async def _hide(self, server: str | None, file: str, case: str, tries: int) -> None:
        """Quarantine this one file, once it has a row. Synapse's own function would hide every copy
        of the same bytes, also those that were there before anybody registered them.
        """
        by = _BY + case
        sql, values = (
            (_HIDE_OWN, (by, file)) if server is None else (_HIDE_REMOTE, (by, file, server))
        )
        if await self._api.run_db_interaction("entrenous_hide", _rows, sql, values):
            self._hidden[case] = None
        elif tries > 0:
            self._hide_soon(server, file, case, tries - 1)
        else:
            _LOG.warning("not hidden, for it has no row: case=%s", case)

    async def _show_again(self) -> None:
        """Show what a person let through, or what its claim was withdrawn of; the rest stays."""
        if not self._knows_all:
            found = await self._api.run_db_interaction("entrenous_hidden", _hidden_by)
            self._hidden |= {by.removeprefix(_BY): None for by in found}
            self._knows_all = True
        for case in list(self._hidden)[:_ASKED_MAX]:
            state = await self._api.defer_to_thread(self._client.state_of, case)
            del self._hidden[case]
            if state in ("released", "closed"):
                for sql in _SHOW:
                    await self._api.run_db_interaction("entrenous_show", _rows, sql, (_BY + case,))
            elif state != "confirmed":
                self._hidden[case] = None  # asked about again, after the others


def _rows(transaction: Any, sql: str, values: tuple[str, ...]) -> int:
    """How many rows it changed."""
    transaction.execute(sql, values)
    return int(transaction.rowcount)


def _hidden_by(transaction: Any) -> list[str]:
    transaction.execute(_HIDDEN, (_BY + "%", _BY + "%"))
    return [str(value) for (value,) in transaction.fetchall()]


def _sender(file_info: Any) -> str:
    """Who uploads it, such as @ana:house.example. Synapse does not hand that to a module; it is
    with the request that is being answered. Nobody is known of what another server's user sent:
    there the request is of somebody who wants to see it.
    """
    if file_info.server_name is not None:
        return ""
    request = getattr(current_context(), "request", None)
    return str(getattr(request, "requester", None) or "")
