"""Fetch new messages while the vault is unlocked: once at first, then whenever the relay reports
new ones, and after several requests without news.
"""

import contextlib
import threading
from functools import partial
from typing import Final

from entrenous.app.jobs import ChangeEvents
from entrenous.app.vault_session import StoppedByLock, VaultLocked, VaultSession
from entrenous.base.environment import Settings
from entrenous.base.errors import EntrenousError
from entrenous.base.limits import WAKE_REQUEST_S
from entrenous.device.device import Courier, Device, open_courier
from entrenous.device.identities import MailboxAddress, own_device
from entrenous.device.lock_errors import DeviceWithoutRelay
from entrenous.send.fetch import fetch_messages
from entrenous.send.status import copies_to_query, query_relays, record_relay_answers

# A relay that did not answer is asked again after ENTRENOUS_PATIENCE, within these limits.
_RETRY_WAIT_S_MIN: Final = 1
_RETRY_WAIT_S_MAX: Final = 20
# The relays are asked for the states of this many of the newest messages at most. The states of
# older messages come from receipts only.
_STATE_QUERIED_MESSAGES_MAX: Final = 100
# After this many requests without news, fetch all the same, which also sends the outbox. If a
# message waits for a relay that was unreachable, fetch after the first request.
_REQUESTS_BETWEEN_FETCHES: Final = 6


class MailWatch:
    """Keeps the inbox up to date. ``problem`` is the error of the last fetch, if it failed;
    ``other_relay_problems`` are the errors met when messages were sent to other people's relays.
    """

    def __init__(self, settings: Settings, vault: VaultSession, events: ChangeEvents) -> None:
        self._vault, self._events = vault, events
        self.settings = settings
        self._closed = threading.Event()
        self.problem: EntrenousError | None = None
        self.other_relay_problems: tuple[EntrenousError, ...] = ()

    def start(self) -> None:
        """Start watching. Call this when the vault has been unlocked."""
        self._closed = threading.Event()
        threading.Thread(target=self._watch_until_closed, args=(self._closed,), daemon=True).start()

    def stop(self) -> None:
        """Stop watching. A running request is not interrupted."""
        self._closed.set()

    def send_and_fetch_after(self, seconds: float) -> None:
        """After this many seconds, send waiting messages and fetch new ones, if the vault is
        unlocked then.
        """

        def fetch_if_unlocked() -> None:
            with contextlib.suppress(VaultLocked):
                self._vault.run(self._fetch_and_record_problems)

        timer = threading.Timer(seconds, fetch_if_unlocked)
        timer.daemon = True
        timer.start()

    def _watch_until_closed(self, closed: threading.Event) -> None:
        with contextlib.suppress(VaultLocked, StoppedByLock, DeviceWithoutRelay):
            home = self._vault.run(_own_mailbox).result()
            with open_courier(self.settings) as courier:
                while not closed.is_set():
                    self._vault.run(self._fetch_and_record_problems).result()
                    self._query_copy_states(courier)
                    self._wait_for_news(home, courier, closed)

    def _fetch_and_record_problems(self, device: Device) -> None:
        try:
            self.other_relay_problems = fetch_messages(device).problems
            self.problem = None
        except DeviceWithoutRelay:
            raise
        except EntrenousError as why:
            self.problem = why
        self._events.publish()

    def _query_copy_states(self, courier: Courier) -> None:
        """Query the states of the newest sent messages.

        Pages can use the vault while the relays are being queried.
        """
        due = self._vault.run(partial(copies_to_query, _STATE_QUERIED_MESSAGES_MAX)).result()
        answers = tuple(query_relays(due, courier))
        self._vault.run(partial(record_relay_answers, answers)).result()
        self._events.publish()

    def _wait_for_news(
        self, home: MailboxAddress, courier: Courier, closed: threading.Event
    ) -> None:
        requests, seconds = _REQUESTS_BETWEEN_FETCHES, WAKE_REQUEST_S
        if self.other_relay_problems:
            requests, seconds = 1, min(WAKE_REQUEST_S, self._retry_wait_s())
        for _ in range(requests):
            if closed.is_set():
                return
            try:
                if courier.wait_for_letter(home.relay_url, home.mailbox, home.owner, seconds):
                    return
            except EntrenousError:  # for example, the device was revoked: the next fetch reports it
                closed.wait(self._retry_wait_s())
                return

    def _retry_wait_s(self) -> int:
        patience_s = round(self.settings.patience_s)
        return max(_RETRY_WAIT_S_MIN, min(_RETRY_WAIT_S_MAX, patience_s))


def _own_mailbox(device: Device) -> MailboxAddress:
    return own_device(device).home
