"""Decisions to quarantine and to accept an upload run the same kinds of SQL statements."""

from typing import Any

import pytest
import sqlalchemy as sa

from entrenous.stop.client.registration_client import RegistrationClient
from entrenous.stop.judge.decide import decide_upload
from entrenous.stop.platform import Platform
from entrenous.stop.store.bank_store import BankStore
from tests.stop.platform_for_tests import jpeg, new_device, picture, protect_picture


@pytest.mark.slow
@pytest.mark.threat("probing-registered")
def test_quarantined_and_accepted_uploads_run_the_same_few_statements(
    platform: Platform, device_gate: RegistrationClient, her_picture: Any, other_picture: Any
) -> None:
    protect_picture(
        picture(her_picture), adult=True, parts=True, gate=device_gate, device=new_device()
    )
    decide_upload(jpeg(other_picture), platform)  # brings the index up to date
    assert isinstance(platform.bank, BankStore)
    statements: list[str] = []

    def record_statement(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        statements.append(" ".join(statement.split()[:3]))

    sa.event.listen(platform.bank.engine, "before_cursor_execute", record_statement)
    statements_per_upload = []
    for pixels in (her_picture, other_picture):
        statements.clear()
        decide_upload(jpeg(pixels), platform)
        statements_per_upload.append([one for one in statements if not one.startswith("BEGIN")])
    assert statements_per_upload[0] == statements_per_upload[1]
    assert len(statements_per_upload[0]) <= 6
