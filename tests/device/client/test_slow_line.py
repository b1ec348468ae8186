"""Test that a relay that answers 408 (Request Timeout) counts as unreachable."""

import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from entrenous.base.errors import NotARelay, RelayUnreachable
from tests.in_memory.courier import memory_courier

URL = "https://relay.test"


async def answer_408(scope: Scope, receive: Receive, send: Send) -> None:
    headers = {"Entrenous-Protocol": "2", "Connection": "close"}
    await Response(b"{}", 408, headers, "application/problem+json")(scope, receive, send)


def test_request_timeout_status_counts_as_unreachable() -> None:
    with pytest.raises(RelayUnreachable) as caught:
        memory_courier({URL: answer_408}).status(URL)
    assert not isinstance(caught.value, NotARelay)
