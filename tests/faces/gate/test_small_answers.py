"""What is told of limits, of addresses that there are not, and to caches."""

import httpx
import pytest

OPERATOR = {"Authorization": "Bearer operator-token"}


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("/v1/uploads", "1 MB"),
        ("/v1/claims", "0.33 MB"),
        (f"/v1/claims/{'0' * 32}/opinions", "0.0041 MB"),
    ],
)
def test_a_small_limit_is_not_called_zero(web: httpx.Client, path: str, limit: str) -> None:
    kind = {"Content-Type": "application/octet-stream"}
    answer = web.post(path, content=bytes(1_000_001), headers=OPERATOR | kind)
    assert answer.status_code == 413
    assert f"larger than the {limit} that" in answer.json()["detail"]
