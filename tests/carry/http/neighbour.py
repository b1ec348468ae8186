"""A client that keeps eight wake-up requests waiting at each of the given mailboxes.

When a request ends or is dropped, it asks again after half a second: it is to occupy places at the
relay, not the processor. Its one argument is JSON: a port, and for each mailbox its id and its
owner token. It prints a line once every request was sent or refused.
"""

import asyncio
import json
import sys
from typing import Final

_WAKES: Final = 8
_REST_S: Final = 0.5
_ASK: Final = (
    "GET /v1/mailboxes/{}/wake?seconds=60 HTTP/1.1\r\nHost: a\r\n"
    "Authorization: Bearer {}\r\nEntrenous-Protocol: 2\r\n\r\n"
)


async def wait_for_ever(port: int, mailbox: str, owner: str, tried: asyncio.Event) -> None:
    """Wait repeatedly; set ``tried`` once a request was sent or refused."""
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            while True:
                writer.write(_ASK.format(mailbox, owner).encode())
                tried.set()
                await reader.readuntil(b"\r\n\r\n")
                await asyncio.sleep(_REST_S)
        except (OSError, EOFError):
            tried.set()
            await asyncio.sleep(_REST_S)


async def main() -> None:
    port, mailboxes = json.loads(sys.argv[1])
    asks = [(mailbox, asyncio.Event()) for _ in range(_WAKES) for mailbox in mailboxes]
    async with asyncio.TaskGroup() as waiting:
        for mailbox, tried in asks:
            waiting.create_task(wait_for_ever(port, *mailbox, tried))
        for _, tried in asks:
            await tried.wait()
        print("all have asked", flush=True)  # noqa: T201 -- the test reads it


if __name__ == "__main__":
    asyncio.run(main())
