"""Fixtures: an owner of cases, and a timestamp authority that runs openssl."""

import shutil

import pytest

from entrenous.respond.client.stamp_authority import HttpTimestampAuthority
from tests.respond.case_owner import CaseOwner, create_stamp_authority


@pytest.fixture
def owner() -> CaseOwner:
    return CaseOwner()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> HttpTimestampAuthority:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: apt install openssl")
    return create_stamp_authority(tmp_path_factory.mktemp("tsa"))
