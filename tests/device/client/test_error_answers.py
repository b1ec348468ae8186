"""Tests of error answers: which error the device raises for what a relay or a server answers."""

import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from entrenous.base.errors import (
    DiskFailed,
    DiskFull,
    EntrenousError,
    NotARelay,
    RelayDiskFailed,
    RelayFull,
    RelayUnreachable,
)
from entrenous.wire.problem_details import PROBLEM_MEDIA_TYPE, write_problem
from tests.in_memory.courier import memory_courier

URL = "https://relay.test"


async def answer_408(scope: Scope, receive: Receive, send: Send) -> None:
    headers = {"Entrenous-Protocol": "2", "Connection": "close"}
    await Response(b"{}", 408, headers, PROBLEM_MEDIA_TYPE)(scope, receive, send)


def test_request_timeout_status_counts_as_unreachable() -> None:
    with pytest.raises(RelayUnreachable) as caught:
        memory_courier({URL: answer_408}).status(URL)
    assert not isinstance(caught.value, NotARelay)


@pytest.mark.parametrize(
    ("at_the_relay", "on_the_device"),
    [(DiskFull(), RelayFull), (DiskFailed(), RelayDiskFailed)],
    ids=["full", "failed"],
)
def test_fault_of_a_relays_disk_is_not_reported_as_one_of_this_device(
    at_the_relay: EntrenousError, on_the_device: type[EntrenousError]
) -> None:
    async def answer_with_problem(scope: Scope, receive: Receive, send: Send) -> None:
        problem = write_problem(at_the_relay, 503)
        headers = {"Entrenous-Protocol": "2"}
        await Response(problem, 503, headers, PROBLEM_MEDIA_TYPE)(scope, receive, send)

    with pytest.raises(on_the_device, match="relay's disk"):
        memory_courier({URL: answer_with_problem}).status(URL)
