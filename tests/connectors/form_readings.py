"""Models of how Java and Python servers read a path, and a check for the covered path."""

import re
from urllib.parse import unquote

COVERED_PATH = "/api/v2/media"


def paths_read_by_java(target: str) -> set[str]:
    """Return the paths that Tomcat and Jetty may read, with or without a proxy that decodes first.

    Both servers drop the parameters of segments, decode the path, merge slashes and resolve dots.
    Depending on the settings, they read backslashes and encoded slashes as slashes.
    """
    found = set()
    for sent in (target, unquote(target)):
        decoded = unquote("/".join(one.partition(";")[0] for one in sent.split("/")))
        found |= {
            _merge_slashes_and_resolve_dots(decoded),
            _merge_slashes_and_resolve_dots(decoded.replace("\\", "/")),
        }
    return found


def paths_read_by_python(target: str) -> set[str]:
    """Return the paths that Starlette, Werkzeug and Django may read.

    The server decodes the path, which a proxy may already have decoded once. Slashes may be merged.
    An application may resolve dots when it joins the path to a folder.
    """
    once = unquote(target)
    found = {once, unquote(once)}
    found |= {re.sub("/{2,}", "/", one) for one in found}
    return found | {_merge_slashes_and_resolve_dots(one) for one in found}


def _merge_slashes_and_resolve_dots(path: str) -> str:
    kept: list[str] = []
    for name in path.split("/"):
        if name == "..":
            kept = kept[:-1]
        elif name not in ("", "."):
            kept.append(name)
    return "/" + "/".join(kept)


def is_covered(path: str) -> bool:
    """Return whether the path begins with the covered path, in any letter case.

    The path must end after the covered path, or continue with one of ``/.;:,?#``.
    """
    plain = path.casefold()
    return re.match(re.escape(COVERED_PATH) + r"(?=[/.;:,?#]|$)", plain) is not None
