"""A program that waits for letters at all mailboxes it is told of, eight times at each.

When it is told that nothing came, or is thrown out, it asks again soon: what it wants is the
places, and not to keep the processor busy. Its one argument is JSON: a port, and for each mailbox
its id and its owner token.
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


async def wait_for_ever(port: int, mailbox: str, owner: str) -> None:
    """One of the eight."""
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            while True:
                writer.write(_ASK.format(mailbox, owner).encode())
                await reader.readuntil(b"\r\n\r\n")
                await asyncio.sleep(_REST_S)
        except (OSError, EOFError):
            await asyncio.sleep(_REST_S)


async def main() -> None:
    """All of them."""
    port, mailboxes = json.loads(sys.argv[1])
    await asyncio.gather(
        *(wait_for_ever(port, *mailbox) for _ in range(_WAKES) for mailbox in mailboxes)
    )


if __name__ == "__main__":
    asyncio.run(main())
