"""Every store that a relay can have its rows in."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from entrenous.adapters.mail.postgres import PostgresMail, open_postgres
from entrenous.adapters.mail.sqlite import SqliteMail, open_mail
from entrenous.ports import MailStore
from tests.in_memory.mail import MemoryMail


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.real)])
def mail(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MailStore]:
    if request.param == "memory":
        yield MemoryMail()
        return
    store: SqliteMail | PostgresMail
    if request.param == "sqlite":
        store = open_mail(tmp_path / "mail.db")
    else:
        store = open_postgres(request.getfixturevalue("postgres").fresh())
    yield store
    store.close()
