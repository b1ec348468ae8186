"""Let a device crash at a chosen point: at a change of its vault, a commit or a request.

The possible points are numbered from 0, in the order in which the work reaches them.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from entrenous.device.device import Device
from entrenous.device.store.ledger import VaultLedger

VAULT_CHANGES: Final = (
    "put",
    "drop",
    "store_file",
    "store_file_as",
    "store_sealed_file",
    "append_to_sealed_file",
    "delete_file",
)


class Crash(BaseException):
    """A crash of the process. The program does not catch it, because it is not an Exception."""


@dataclass
class CrashCountdown:
    """Counts down the crash points before the crash; a negative count causes no crash."""

    remaining: int

    def step(self) -> None:
        """Crash if no crash points remain; otherwise count down by one."""
        if self.remaining == 0:
            raise Crash
        self.remaining -= 1


class CrashingVault:
    """A vault that may crash before each change, and before and after each commit."""

    def __init__(
        self, vault: Any, countdown: CrashCountdown, changes: Collection[str] = VAULT_CHANGES
    ) -> None:
        self._vault = vault
        self._countdown = countdown
        self._changes = changes

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self._vault.transaction():
            yield
            self._countdown.step()  # before the commit
        self._countdown.step()

    def __getattr__(self, call: str) -> Callable[..., Any]:
        method: Callable[..., Any] = getattr(self._vault, call)
        if call not in self._changes:
            return method

        def step_and_change(*arguments: Any, **named: Any) -> Any:
            self._countdown.step()
            return method(*arguments, **named)

        return step_and_change


class CrashingCourier:
    """A courier that may crash before it sends a request, and after it has received the answer."""

    def __init__(self, courier: Any, countdown: CrashCountdown) -> None:
        self._courier = courier
        self._countdown = countdown

    def __getattr__(self, call: str) -> Callable[..., Any]:
        def send_request(*arguments: Any) -> Any:
            self._countdown.step()
            answer = getattr(self._courier, call)(*arguments)
            self._countdown.step()
            return answer

        return send_request


def crashing_device(
    device: Device, crash_point: int, changes: Collection[str] = VAULT_CHANGES
) -> Device:
    """Return a device that crashes at a crash point.

    The crash points are at commits, at requests, and at calls of the vault's methods that
    ``changes`` names.
    """
    countdown = CrashCountdown(crash_point)
    vault = CrashingVault(device.vault, countdown, changes)
    return replace(
        device,
        vault=vault,
        ledger=VaultLedger(vault),
        courier=CrashingCourier(device.courier, countdown),
    )


def run_until_crash(
    work: Callable[[Device], object],
    device: Device,
    crash_point: int,
    changes: Collection[str] = VAULT_CHANGES,
) -> bool:
    """Run the work on a device that crashes at ``crash_point``; return False after a crash."""
    try:
        work(crashing_device(device, crash_point, changes))
    except Crash:
        return False
    return True
