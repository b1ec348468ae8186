"""How a platform's own server asks its gate about an upload."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from entrenous.adapters.courier.http import new_client
from entrenous.model.gate import GateUnreachable

_PATIENCE_S = 60


def upload(data: bytes, gate: Mapping[str, Any]) -> Mapping[str, Any]:
    """The gate's decision about a file, as the operator sees it; raises GateUnreachable."""
    url, token = gate["url"], Path(gate["operator_token_file"]).read_text()
    try:
        with new_client() as client:
            answer = client.post(
                f"{url}/v1/uploads",
                files={"file": ("upload", data)},
                headers={"Authorization": f"Bearer {token}"},
                timeout=_PATIENCE_S,
            )
        answer.raise_for_status()
    except httpx.HTTPError as problem:
        raise GateUnreachable(url=url) from problem
    decision: dict[str, Any] = answer.json()
    return decision
