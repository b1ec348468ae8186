"""Wait for a relay that does not answer, as long as its person is willing to.

A relay that restarts is away for seconds. Every request to one may be repeated with the effect of
one (docs/spec/relay.md), so a request whose connection failed is simply made again.
"""

import time
from collections.abc import Callable
from typing import Final, TypeVar

import httpx

Answer = TypeVar("Answer")

_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 2.0
#: For how long a relay that let a request time out is not asked again: longer than a command needs
#: for the rest of what it does. How long a time-out is, the client says, not ENTRENOUS_PATIENCE.
_SILENT_S: Final = 600.0
#: What happens when a program dies at the other end, or is not there yet. Time-outs are not in it:
#: who has waited for one has been patient already.
_LOST: Final = (httpx.NetworkError, httpx.RemoteProtocolError)


class Patience:
    """Repeats requests until ``seconds`` have passed since that relay last answered.

    After that, and after a request that timed out, requests to the same relay fail at once: a
    command waits for a relay once, however many requests it makes.
    """

    def __init__(
        self,
        seconds: float,
        now_s: Callable[[], float] = time.monotonic,
        sleep_s: Callable[[float], None] = time.sleep,
    ) -> None:
        self._seconds = seconds
        self._now_s = now_s
        self._sleep_s = sleep_s
        self._until = dict[str, float]()
        self._silent_until = dict[str, float]()

    def __call__(self, host: str, request: Callable[[], Answer]) -> Answer:
        """What ``request`` returns, once it does.

        Raises:
            httpx.HTTPError: what ``request`` raised, when there is no point in waiting (longer).
        """
        if self._now_s() < self._silent_until.get(host, float("-inf")):
            raise httpx.ConnectTimeout("it let a request time out before")
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                answer = request()
            except httpx.TimeoutException:
                self._silent_until[host] = self._now_s() + _SILENT_S
                raise
            except _LOST:
                if not self._may_wait(host, pause_s):
                    raise
                self._sleep_s(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            else:
                self._until.pop(host, None)
                return answer

    def _may_wait(self, host: str, pause_s: float) -> bool:
        now_s = self._now_s()
        return now_s + pause_s <= self._until.setdefault(host, now_s + self._seconds)
