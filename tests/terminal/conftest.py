import pytest

from tests.vaults import make_vaults_open_quickly


@pytest.fixture(autouse=True)
def make_vaults_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    make_vaults_open_quickly(monkeypatch)
