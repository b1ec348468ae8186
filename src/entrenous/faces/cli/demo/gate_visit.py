"""How a platform's own server asks its gate about an upload."""

from collections.abc import Mapping
from typing import Any

import httpx


def upload(data: bytes, gate: Mapping[str, Any]) -> Mapping[str, Any]:
    """The gate's decision about a file, as the operator sees it."""
    answer = httpx.post(
        f"{gate['url']}/v1/uploads",
        files={"file": ("upload", data)},
        headers={"Authorization": f"Bearer {gate['operator_token']}"},
        timeout=60,
    )
    answer.raise_for_status()
    decision: dict[str, Any] = answer.json()
    return decision
