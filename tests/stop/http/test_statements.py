"""An upload costs few database statements, as many quarantined as accepted."""

from typing import Any

import pytest
import sqlalchemy as sa

from entrenous.stop.client.registration_client import RegistrationClient
from entrenous.stop.judge.decide import decide_upload
from entrenous.stop.platform import Platform
from entrenous.stop.store.bank_store import BankStore
from tests.stop.platform_for_tests import a_device, jpeg, picture, protect_picture


@pytest.mark.slow
@pytest.mark.threat("probing-registered")
def test_upload_runs_few_identical_statements(
    platform: Platform, device_gate: RegistrationClient, hers: Any, another: Any
) -> None:
    protect_picture(picture(hers), adult=True, parts=True, gate=device_gate, device=a_device())
    decide_upload(jpeg(another), platform)  # so that the index is up to date
    assert isinstance(platform.bank, BankStore)
    told: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        told.append(" ".join(statement.split()[:3]))

    sa.event.listen(platform.bank.engine, "before_cursor_execute", note)
    asked = []
    for pixels in (hers, another):
        told.clear()
        decide_upload(jpeg(pixels), platform)
        asked.append([one for one in told if not one.startswith("BEGIN")])
    assert asked[0] == asked[1]
    assert len(asked[0]) <= 6
