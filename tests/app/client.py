"""An HTTP client that sends the app's cookie and origin with each request."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus

import httpx

from tests.app.served import PASSPHRASE, RunningApp

Files = list[tuple[str, tuple[str, bytes, str]]]


@dataclass(frozen=True)
class Client:
    """Sends the requests that the app's own pages send."""

    web: httpx.Client

    def get(self, path: str) -> httpx.Response:
        return self.web.get(path)

    def post(
        self, path: str, data: dict[str, str] | None = None, files: Files | None = None
    ) -> httpx.Response:
        return self.web.post(path, data=data or {}, files=files)

    def set_up(self, relay: str = "") -> None:
        """Set the device up, and leave it unlocked."""
        where = {"where": "relay", "relay": relay} if relay else {"where": "none"}
        fields = {"name": "Ana", "passphrase": PASSPHRASE, "again": PASSPHRASE}
        assert self.post("/0", fields | where).url.path == "/"

    def unlock(self) -> httpx.Response:
        return self.post("/1", {"passphrase": PASSPHRASE})


@contextmanager
def open_client(app: RunningApp) -> Iterator[Client]:
    """Open the one-time link, and yield a client that has the app's cookie."""
    origin = {"origin": app.address}
    with httpx.Client(
        base_url=app.address, headers=origin, follow_redirects=True, timeout=60, trust_env=False
    ) as web:
        assert web.get(app.link).status_code == 200
        yield Client(web)


def wait_for_job(client: Client, answer: httpx.Response) -> httpx.Response:
    """Poll the progress page of a job; return the page with the result or the error."""
    while answer.url.path.startswith("/5/") and answer.status_code == HTTPStatus.OK:
        time.sleep(0.1)
        answer = client.get(answer.url.path)
    return answer
