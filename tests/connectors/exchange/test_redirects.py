"""The exchange answers 404, and never redirects, if a path is cut short or ends with a slash."""

import httpx
import pytest


@pytest.mark.parametrize(
    "path", ["/ncmec", "/ncmec/v2/status/", "/stopncii/v1", "/stopncii/v1/FetchHashes/"]
)
def test_exchange_never_redirects(web: httpx.Client, path: str) -> None:
    answer = web.get(path, headers={"Host": "elsewhere.example"})
    assert answer.status_code == 404
    assert "location" not in answer.headers
