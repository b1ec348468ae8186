"""An app whose owner Ana knows Ben. Both have a mailbox at one relay."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from entrenous.device.device import Device
from entrenous.device.identities import contacts
from entrenous.send.fetch import fetch_messages
from entrenous.send.flush import flush_outbox
from entrenous.send.people.invite import make_invite_link
from tests.app.client import Client, Files, open_client, wait_for_job
from tests.app.served import RunningApp, run_app
from tests.app.states import TypedTexts, create_relay_and_ben
from tests.real.processes import Server, wait_until


@dataclass(frozen=True)
class AnaWithBen:
    """Ana's app, her browser, Ben's device and their relay."""

    app: RunningApp
    ana: Client
    ben: Device
    relay: Server

    def write(self, text: str, files: Files | None = None) -> str:
        """Write a message to Ben; return the address of the page that shows its draft."""
        return self.ana.post("/10", {"text": text, "to": "Ben", "days": "7"}, files).url.path

    def send(self, draft: str) -> httpx.Response:
        return wait_for_job(self.ana, self.ana.post(draft, {"confirm": "Ben"}))


@contextmanager
def run_app_of_ana_with_ben(folder: Path, **settings: str) -> Iterator[AnaWithBen]:
    with (
        create_relay_and_ben(folder, TypedTexts()) as (ben, relay),
        run_app(folder / "ana", ENTRENOUS_PAUSE="0", **settings) as app,
        open_client(app) as ana,
    ):
        ana.set_up(relay.url)
        ana.post("/52", {"link": make_invite_link(ben), "name": "Ben"})
        assert wait_until(lambda: bool(fetch_messages(ben)) and bool(contacts(ben)), 90)
        flush_outbox(ben)
        yield AnaWithBen(app, ana, ben, relay)
