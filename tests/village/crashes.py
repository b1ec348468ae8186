"""Let a device die at a chosen moment: before a change of its vault, before or after a request."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from entrenous.device.device import Device
from entrenous.device.store.ledger import VaultLedger

CHANGES: Final = (
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
class Fuse:
    """Counts the moments that are left before the process dies; a negative count never ends."""

    left: int

    def burn(self) -> None:
        if self.left == 0:
            raise Crash
        self.left -= 1


class DyingVault:
    """A vault whose process may die before any change, and before and after a commit."""

    def __init__(self, vault: Any, fuse: Fuse, changes: Collection[str] = CHANGES) -> None:
        self._vault = vault
        self._fuse = fuse
        self._changes = changes

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self._vault.transaction():
            yield
            self._fuse.burn()  # before the commit
        self._fuse.burn()

    def __getattr__(self, call: str) -> Callable[..., Any]:
        real: Callable[..., Any] = getattr(self._vault, call)
        if call not in self._changes:
            return real

        def change(*arguments: Any, **named: Any) -> Any:
            self._fuse.burn()
            return real(*arguments, **named)

        return change


class DyingCourier:
    """A courier whose process may die before a request leaves, and after its answer arrived."""

    def __init__(self, courier: Any, fuse: Fuse) -> None:
        self._courier = courier
        self._fuse = fuse

    def __getattr__(self, call: str) -> Callable[..., Any]:
        def request(*arguments: Any) -> Any:
            self._fuse.burn()
            answer = getattr(self._courier, call)(*arguments)
            self._fuse.burn()
            return answer

        return request


def dying(device: Device, moments: int, changes: Collection[str] = CHANGES) -> Device:
    """Return the device, wrapped to die after so many moments; ``changes`` are calls that count."""
    fuse = Fuse(moments)
    vault = DyingVault(device.vault, fuse, changes)
    return replace(
        device,
        vault=vault,
        ledger=VaultLedger(vault),
        courier=DyingCourier(device.courier, fuse),
    )


def survived(
    work: Callable[[Device], object],
    device: Device,
    moments: int,
    changes: Collection[str] = CHANGES,
) -> bool:
    """Run the work on a device that dies after so many moments; return False if it died."""
    try:
        work(dying(device, moments, changes))
    except Crash:
        return False
    return True
