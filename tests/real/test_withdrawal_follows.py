"""A withdrawal at a real gate automatically reaches the gates that fetch from this gate."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from threading import Event

import pytest
import skimage.data

from entrenous.base.identifiers import BankName
from entrenous.device.client.http_courier import new_relay_client
from entrenous.stop.client.registration_client import RegistrationClient
from entrenous.stop.exchange_nouns import Source, SourceKind
from entrenous.stop.exchange_serving import add_exchange_partner
from entrenous.stop.nouns import PEOPLE_BANK
from entrenous.stop.protect import withdraw_protection
from entrenous.stop.store.open_gate import open_exchange, open_platform
from tests.stop.commands.gates import RunningGate, start_gate
from tests.stop.platform_for_tests import jpeg, new_device, picture, protect_picture

pytestmark = pytest.mark.real

PATH_AND_CREDENTIALS_BY_SOURCE_KIND = {
    SourceKind.NCMEC: ("/exchange/ncmec", "friends:{key}"),
    SourceKind.STOPNCII: ("/exchange/stopncii/v1", "{key},{key}"),
}


def wait_until_true(condition: Callable[[], bool]) -> None:
    """Poll until the condition is true, for at most 180 s."""
    until = time.monotonic() + 180
    while not condition():
        assert time.monotonic() < until
        Event().wait(0.3)


def create_fetching_gate(
    source_gate: RunningGate, source_kind: SourceKind, key: str, folder: Path
) -> Path:
    """Create the data folder of a gate that fetches from ``source_gate``.

    ``source_kind`` is the interface through which the gate fetches.
    """
    path, credentials = PATH_AND_CREDENTIALS_BY_SOURCE_KIND[source_kind]
    folder.mkdir(mode=0o700)
    (folder / "gate.toml").write_text("fetch_minutes = 0.05\n")
    file = folder.with_suffix(".credentials")
    file.touch(mode=0o600)
    file.write_text(credentials.format(key=key))
    where = f"{source_gate.url}{path}"
    with open_platform(folder) as (platform, _):
        source = Source("theirs", source_kind, where, BankName("theirs"), credentials=str(file))
        open_exchange(platform).sources.add(source)
    return folder


@pytest.mark.threat("withdrawal-ignored")
def test_withdrawal_reaches_the_fetching_gates(tmp_path: Path) -> None:
    """One gate fetches by the NCMEC interface, and another by the StopNCII interface."""
    theirs, pixels = tmp_path / "theirs", skimage.data.astronaut()
    options = ("--judges", "0", "--no-slow-look")
    with open_platform(theirs) as (platform, _):
        key = (
            add_exchange_partner("friends", [PEOPLE_BANK], open_exchange(platform))
            .reveal()
            .decode()
        )
    with ExitStack() as stack:
        source_gate = stack.enter_context(start_gate(theirs, *options))
        data = [
            create_fetching_gate(source_gate, source_kind, key, tmp_path / source_kind)
            for source_kind in PATH_AND_CREDENTIALS_BY_SOURCE_KIND
        ]
        fetching_gates = [stack.enter_context(start_gate(one, *options)) for one in data]

        def do_all_decide(decision: str) -> bool:
            return all(
                one.upload(jpeg(pixels)).json()["decision"] == decision for one in fetching_gates
            )

        assert do_all_decide("let through")
        device = new_device()
        gate = RegistrationClient(source_gate.url, stack.enter_context(new_relay_client()))
        protection = protect_picture(
            picture(pixels), adult=True, parts=False, gate=gate, device=device
        )
        wait_until_true(lambda: do_all_decide("hold"))
        withdraw_protection(protection, gate, device)
        wait_until_true(lambda: do_all_decide("let through"))
