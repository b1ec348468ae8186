"""Two real gates: what is withdrawn at one is withdrawn at the other; nobody types anything."""

import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest
import skimage.data

from entrenous.base.identifiers import BankName
from entrenous.device.client.http_courier import new_relay_client
from entrenous.stop.client.registration_client import RegistrationClient
from entrenous.stop.exchange_nouns import Source, SourceKind
from entrenous.stop.exchange_serving import add_partner
from entrenous.stop.nouns import PEOPLE
from entrenous.stop.protect import unprotect
from entrenous.stop.store.open_gate import exchange_of, open_platform
from tests.stop.commands.gates import running
from tests.stop.platform_for_tests import a_device, jpeg, picture, protect_picture

pytestmark = pytest.mark.real

FORMS = {
    SourceKind.NCMEC: ("/exchange/ncmec", "friends:{key}"),
    SourceKind.STOPNCII: ("/exchange/stopncii/v1", "{key},{key}"),
}


def soon(true: Callable[[], bool]) -> None:
    """NCMEC's form shows what is five seconds old, and a busy machine has other things to do."""
    until = time.monotonic() + 90
    while not true():
        assert time.monotonic() < until
        Event().wait(0.2)


@pytest.mark.threat("withdrawal-ignored")
@pytest.mark.parametrize("kind", FORMS)
def test_a_withdrawal_reaches_the_other_gate(tmp_path: Path, kind: SourceKind) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    with open_platform(theirs) as (platform, _):
        key = add_partner("friends", [PEOPLE], exchange_of(platform)).reveal().decode()
    path, credentials = FORMS[kind]
    file = tmp_path / "credentials"
    file.touch(mode=0o600)
    file.write_text(credentials.format(key=key))
    ours.mkdir(mode=0o700)
    (ours / "gate.toml").write_text("fetch_minutes = 0.05\n")
    device, hers = a_device(), skimage.data.astronaut()
    with running(theirs, "--judges", "0", "--no-slow-look") as there, new_relay_client() as client:
        source = Source(
            "theirs", kind, f"{there.url}{path}", BankName("theirs"), credentials=str(file)
        )
        with open_platform(ours) as (platform, _):
            exchange_of(platform).sources.add(source)
        with running(ours, "--judges", "0", "--no-slow-look") as here:
            assert here.bring(jpeg(hers), "post 17").json()["decision"] == "let through"
            gate = RegistrationClient(there.url, client)
            protection = protect_picture(
                picture(hers), adult=True, parts=False, gate=gate, device=device
            )
            soon(lambda: here.bring(jpeg(hers)).json()["decision"] == "hold")
            unprotect(protection, gate, device)
            soon(lambda: here.bring(jpeg(hers)).json()["decision"] == "let through")
