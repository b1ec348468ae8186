"""Let a device die at a chosen moment: before a change of its vault, before or after a request."""

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
    """The process dies; it is no Exception, so that the program does not catch it."""


@dataclass
class CrashCountdown:
    """Counts the moments that are left before the process dies; a negative count never ends."""

    remaining: int

    def step(self) -> None:
        if self.remaining == 0:
            raise Crash
        self.remaining -= 1


class CrashingVault:
    """A vault whose process may die before any change, and before and after a commit."""

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
        real: Callable[..., Any] = getattr(self._vault, call)
        if call not in self._changes:
            return real

        def change(*arguments: Any, **named: Any) -> Any:
            self._countdown.step()
            return real(*arguments, **named)

        return change


class CrashingCourier:
    """A courier whose process may die before a request leaves, and after its answer arrived."""

    def __init__(self, courier: Any, countdown: CrashCountdown) -> None:
        self._courier = courier
        self._countdown = countdown

    def __getattr__(self, call: str) -> Callable[..., Any]:
        def request(*arguments: Any) -> Any:
            self._countdown.step()
            answer = getattr(self._courier, call)(*arguments)
            self._countdown.step()
            return answer

        return request


def crashing_device(
    device: Device, moments: int, changes: Collection[str] = VAULT_CHANGES
) -> Device:
    """Return the device, wrapped to die after so many moments; ``changes`` are calls that count."""
    countdown = CrashCountdown(moments)
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
    moments: int,
    changes: Collection[str] = VAULT_CHANGES,
) -> bool:
    """Run the work on a device that dies after so many moments; return False if it died."""
    try:
        work(crashing_device(device, moments, changes))
    except Crash:
        return False
    return True
