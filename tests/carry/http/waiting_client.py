"""A client program that keeps eight wake-up requests waiting at each of the given mailboxes.

The client repeats each request half a second after it ended, so that it occupies connections of the
relay, but hardly any processor time. The one argument is JSON: a port, and for each mailbox an id
and an owner token. The client prints a line once every request was sent or refused.
"""

import asyncio
import json
import sys
from typing import Final

_REQUESTS_PER_MAILBOX: Final = 8
_PAUSE_S: Final = 0.5
_WAKE_UP_REQUEST: Final = (
    "GET /v1/mailboxes/{}/wake?seconds=60 HTTP/1.1\r\nHost: a\r\n"
    "Authorization: Bearer {}\r\nEntrenous-Protocol: 2\r\n\r\n"
)


async def repeat_request(port: int, mailbox: str, owner: str, tried: asyncio.Event) -> None:
    """Repeat a wake-up request without end; set ``tried`` once it was sent or refused."""
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            while True:
                writer.write(_WAKE_UP_REQUEST.format(mailbox, owner).encode())
                tried.set()
                await reader.readuntil(b"\r\n\r\n")
                await asyncio.sleep(_PAUSE_S)
        except (OSError, EOFError):
            tried.set()
            await asyncio.sleep(_PAUSE_S)


async def main() -> None:
    port, mailboxes = json.loads(sys.argv[1])
    requests = [
        (mailbox, asyncio.Event()) for _ in range(_REQUESTS_PER_MAILBOX) for mailbox in mailboxes
    ]
    async with asyncio.TaskGroup() as waiting:
        for mailbox, tried in requests:
            waiting.create_task(repeat_request(port, *mailbox, tried))
        for _, tried in requests:
            await tried.wait()
        print("all requests sent", flush=True)  # noqa: T201 -- the test reads it


if __name__ == "__main__":
    asyncio.run(main())
