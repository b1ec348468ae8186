"""Serve files from memory to a page or as downloads, in byte ranges as players request them."""

import mimetypes
import re
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

_RANGE: Final = re.compile(r"bytes=(\d{1,12})-(\d{0,12})")


def file_response(request: Request, data: bytes, name: str) -> Response:
    """Return a file for the browser to save under ``name``."""
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    answer = shown_file(request, data, kind)
    answer.headers["content-disposition"] = f'attachment; filename="{name}"'
    return answer


def shown_file(request: Request, data: bytes, media_type: str) -> Response:
    """Return a file, or the range that a player asks for (RFC 9110, 14.2)."""
    headers = {"accept-ranges": "bytes"}
    wanted = _RANGE.fullmatch(request.headers.get("range", ""))
    if wanted is None:
        return Response(data, media_type=media_type, headers=headers)
    first, last = int(wanted[1]), min(int(wanted[2] or len(data)), len(data) - 1)
    if first > last:
        return Response(status_code=416, headers={"content-range": f"bytes */{len(data)}"})
    headers["content-range"] = f"bytes {first}-{last}/{len(data)}"
    return Response(data[first : last + 1], status_code=206, media_type=media_type, headers=headers)
