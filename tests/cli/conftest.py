"""A fixture that makes vaults open quickly in all tests of this folder."""

import pytest

from tests.vaults import make_vaults_open_quickly


@pytest.fixture(autouse=True)
def _open_vaults_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    make_vaults_open_quickly(monkeypatch)
