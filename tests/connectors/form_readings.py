"""How Java and Python servers interpret a path that hooks cover."""

import re
from urllib.parse import unquote

COVERED_PATH = "/api/v2/media"


def paths_read_by_java(target: str) -> set[str]:
    """Return the paths that Tomcat and Jetty read, also behind a proxy that decodes first.

    They drop parameters of segments, decode the path, merge slashes and resolve dots. Backslashes
    and encoded slashes are slashes where allowed.
    """
    found = set()
    for sent in (target, unquote(target)):
        decoded = unquote("/".join(one.partition(";")[0] for one in sent.split("/")))
        found |= {_resolved(decoded), _resolved(decoded.replace("\\", "/"))}
    return found


def paths_read_by_python(target: str) -> set[str]:
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


def is_covered(path: str) -> bool:
    """Return whether a server would accept the upload at this path."""
    plain = path.casefold()
    return re.match(re.escape(COVERED_PATH) + r"(?=[/.;:,?#]|$)", plain) is not None
