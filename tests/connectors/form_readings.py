"""How Java and Python servers interpret a path that hooks cover."""

import re
from urllib.parse import unquote

COVERED = "/api/v2/media"


def java_like(target: str) -> set[str]:
    """Return the paths that Tomcat and Jetty read, also behind a proxy that decodes first.

    They drop parameters of segments, decode the path, merge slashes and resolve dots. Backslashes
    and encoded slashes are slashes where allowed.
    """
    found = set()
    for sent in (target, unquote(target)):
        decoded = unquote("/".join(one.partition(";")[0] for one in sent.split("/")))
        found |= {_resolved(decoded), _resolved(decoded.replace("\\", "/"))}
    return found


def python_like(target: str) -> set[str]:
    """Return the paths that Starlette, Werkzeug and Django read: decoded once, or twice behind a
    proxy that decodes; with slashes merged or not; and as applications join them to a folder.
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
    """Return whether a server would accept the upload at this path."""
    plain = path.casefold()
    return re.match(re.escape(COVERED) + r"(?=[/.;:,?#]|$)", plain) is not None
