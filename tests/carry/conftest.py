"""Every store that a relay can have its rows in."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from entrenous.adapters.mail.postgres import PostgresMail, open_postgres
from entrenous.adapters.mail.sqlite import SqliteMail, open_mail
from entrenous.ports import MailStore
from tests.carry.relays import close_relays


@pytest.fixture(autouse=True)
def _relays_closed() -> Iterator[None]:
    yield
    close_relays()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.real)])
def mail(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MailStore]:
    store: SqliteMail | PostgresMail
    if request.param == "sqlite":
        store = open_mail(tmp_path / "mail.db")
    else:
        store = open_postgres(request.getfixturevalue("postgres").fresh())
    yield store
    store.close()
