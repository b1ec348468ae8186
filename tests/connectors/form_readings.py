"""How servers read a path that hooks cover: as Java's do, and as Python's."""

import re
from urllib.parse import unquote

COVERED = "/api/v2/media"


def java_like(target: str) -> set[str]:
    """As Tomcat and Jetty: parameters of each segment go, then it is decoded, slashes become one,
    and dots are resolved; backslashes and encoded slashes are slashes where that is allowed. And
    so behind a proxy that decoded it before.
    """
    found = set()
    for sent in (target, unquote(target)):
        decoded = unquote("/".join(one.partition(";")[0] for one in sent.split("/")))
        found |= {_resolved(decoded), _resolved(decoded.replace("\\", "/"))}
    return found


def python_like(target: str) -> set[str]:
    """As Starlette, Werkzeug and Django: decoded; with slashes merged; behind a proxy that decoded
    it before; and joined to a folder, as applications do.
    """
    once = unquote(target)
    found = {once, unquote(once)}
    found |= {re.sub("/{2,}", "/", one) for one in found}
    return found | {_resolved(one) for one in found}


def _resolved(path: str) -> str:
    kept: list[str] = []
    for name in path.split("/"):
        if name == "..":
            kept = kept[:-1]
        elif name not in ("", "."):
            kept.append(name)
    return "/" + "/".join(kept)


def leads_there(path: str) -> bool:
    """Whether a server that was led to this path would take the upload."""
    plain = path.casefold()
    return re.match(re.escape(COVERED) + r"(?=[/.;:,?#]|$)", plain) is not None
