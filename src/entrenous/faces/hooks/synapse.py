"""Synapse: a module that asks the gate about each file of a Matrix server's media repository.

In homeserver.yaml::

    modules:
      - module: entrenous.faces.hooks.synapse.GateModule
        config:
          gate: http://127.0.0.1:7802
          token_file: /etc/matrix-synapse/operator.token

Encrypted rooms carry ciphertext: what was encrypted on a device can't be looked at here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from synapse.module_api import NOT_SPAM, ModuleApi
from synapse.module_api.errors import Codes, ConfigError

from entrenous.adapters.gate_client.answer import Said
from entrenous.adapters.gate_client.client import GateClient
from entrenous.adapters.gate_client.setting import HookSetting, read_setting
from entrenous.model.setting import BadSetting

try:
    from synapse.logging.context import current_context
except ImportError:  # not of its module API: should it move, uploads are not counted by person

    def current_context() -> None:
        """None is known."""


_CHOICES: Final = ("refuse", "pass")


@dataclass(frozen=True, slots=True)
class ModuleSetting:
    """The hook's own setting, and what becomes of a held file.

    ``on_hold``: a media repository has no place where a file could wait; "refuse" (unless the
    operator says "pass") refuses it.
    """

    hook: HookSetting
    on_hold: str = "refuse"

    def __post_init__(self) -> None:
        if self.on_hold not in _CHOICES:
            raise BadSetting(name="on_hold", wanted='"refuse" or "pass"')


class GateModule:
    """The module, as Synapse loads it."""

    def __init__(self, config: ModuleSetting, api: ModuleApi) -> None:
        self._api = api
        self._setting = config
        self._client = GateClient(config.hook)
        api.register_spam_checker_callbacks(
            check_media_file_for_spam=self.check_media_file_for_spam
        )

    @staticmethod
    def parse_config(config: Mapping[str, Any]) -> ModuleSetting:
        """The module's section of homeserver.yaml; raises ConfigError, which Synapse shows."""
        rest = dict(config or {})
        on_hold = rest.pop("on_hold", "refuse")
        try:
            return ModuleSetting(read_setting(rest), on_hold)
        except BadSetting as problem:
            raise ConfigError(" ".join(str(problem).split())) from None

    async def check_media_file_for_spam(self, file_wrapper: Any, file_info: Any) -> Any:
        """NOT_SPAM, or the code with which Synapse refuses the file.

        Thumbnails pass: Synapse made them itself, of a file that passed.
        """
        if file_info.thumbnail is not None:
            return NOT_SPAM
        answer = await self._api.defer_to_thread(
            self._client.ask_file, Path(file_wrapper.path), file_info.file_id, _sender(file_info)
        )
        is_held = answer.acts is Said.HOLD and self._setting.on_hold == "refuse"
        return Codes.FORBIDDEN if is_held or answer.acts is Said.REFUSE else NOT_SPAM


def _sender(file_info: Any) -> str:
    """Who uploads it, such as @ana:house.example. Synapse does not hand that to a module; it is
    with the request that is being answered. Nobody is known of what another server's user sent:
    there the request is of somebody who wants to see it.
    """
    if file_info.server_name is not None:
        return ""
    request = getattr(current_context(), "request", None)
    return str(getattr(request, "requester", None) or "")
