"""A device's way to its relays: an HTTP client that is imported and made when it is first needed.

A command that asks no relay does not wait for it: httpx and the certificate authorities take longer
to load than many a command to run.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, cast

from entrenous.ports import Courier
from entrenous.settings import Settings


@contextmanager
def courier_of(
    settings: Settings,
    *,
    patience_s: float = 0.0,
    pause_s: float = 0.0,
    timeout_s: float | None = None,
) -> Iterator[Courier]:
    """A courier with its client, which is closed afterwards; ``timeout_s`` is for each request,
    the client's own by default.

    Raises:
        BadSetting: ENTRENOUS_RELAY_CA names no file of certificates.
    """
    with ExitStack() as opened:

        def make() -> Courier:
            from entrenous.adapters.courier import http  # noqa: PLC0415 - see this module's first line

            client = opened.enter_context(http.new_client(settings.relay_ca, settings.proxy))
            if timeout_s is not None:
                client.timeout = timeout_s
            return http.HttpCourier(client, patience_s, pause_s=pause_s)

        courier = _WhenNeeded(make)
        if settings.relay_ca is not None:
            courier.made()  # a wrong file is said at once, whatever the command does
        yield cast("Courier", courier)


class _WhenNeeded:
    """Stands for a courier, and makes it when its first method is called."""

    def __init__(self, make: Callable[[], Courier]) -> None:
        self._make = make
        self._courier: Courier | None = None

    def made(self) -> Courier:
        """The courier itself."""
        if self._courier is None:
            self._courier = self._make()
        return self._courier

    def __getattr__(self, method: str) -> Any:
        return getattr(self.made(), method)
