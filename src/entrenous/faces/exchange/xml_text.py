"""Write XML in NCMEC's form (docs/spec/exchange.md section 4)."""

from html import escape
from typing import Final

from starlette.responses import Response

NAMESPACE: Final = "https://hashsharing.ncmec.org/hashsharing/v2"


def element(name: str, text: str = "", /, *inside: str, **attributes: object) -> str:
    """One element; ``text`` is escaped, ``inside`` are elements already."""
    said = "".join(f' {key}="{escape(str(value))}"' for key, value in attributes.items())
    return f"<{name}{said}>{escape(text)}{''.join(inside)}</{name}>"


def document(root: str, *inside: str) -> bytes:
    """A document of these elements."""
    head = '<?xml version="1.0" encoding="UTF-8"?>'
    return f'{head}<{root} xmlns="{NAMESPACE}">{"".join(inside)}</{root}>'.encode()


def answer(root: str, *inside: str, **headers: str) -> Response:
    """A document as an answer that nobody stores."""
    sent = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **headers}
    return Response(document(root, *inside), 200, sent, media_type="application/xml")
