"""Read robots.txt (RFC 9309): what a site asks programs not to visit."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

#: The name by which a site may address this program; it is also in the User-Agent header.
PRODUCT_NAME: Final = "entrenous"
ROBOTS_BYTES_MAX: Final = 512 * 1024  # RFC 9309 section 2.5 asks for at least 500 KiB
ROBOTS_PATH: Final = "/robots.txt"
_ROBOTS_RULES_MAX: Final = 4096
# number of characters; a longer pattern is cut, and then matches every path that begins with it
_PATTERN_CHARS_MAX: Final = 1024
_LINE_PATTERN: Final = re.compile(r"\s*([A-Za-z-]+)\s*:\s*([^#]*)")
_TOKEN_PATTERN: Final = re.compile(r"[A-Za-z_-]+")
_ESCAPE_PATTERN: Final = re.compile(r"%([0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class RobotsRule:
    """One line of a group: a path pattern, and whether it is allowed."""

    pattern: str
    allows: bool


@dataclass(frozen=True, slots=True)
class RobotsRules:
    """The rules of a site that apply to this program."""

    rules: tuple[RobotsRule, ...] = ()

    def allows(self, url: str) -> bool:
        """Return whether the site lets this program visit an address.

        The longest matching pattern decides; of two equally long ones, the one that allows (RFC
        9309 section 2.2.2).
        """
        parts = urlsplit(url)
        path = _normalize_path(parts.path or "/") + (
            f"?{_normalize_path(parts.query)}" if parts.query else ""
        )
        if path == ROBOTS_PATH:
            return True
        matching = [rule for rule in self.rules if _matches_pattern(rule.pattern, path)]
        return max(matching, key=_rule_rank).allows if matching else True


EVERYTHING_ALLOWED: Final = RobotsRules()
NOTHING_ALLOWED: Final = RobotsRules((RobotsRule("/", allows=False),))


def _rule_rank(rule: RobotsRule) -> tuple[int, bool]:
    return len(rule.pattern.encode()), rule.allows


def read_robots(untrusted_data: bytes) -> RobotsRules:
    """Read the rules for this program, or else those for every program; never raises.

    Groups that name the same program are one group. Unreadable lines are skipped.
    """
    text = untrusted_data[:ROBOTS_BYTES_MAX].decode("utf-8", "replace").removeprefix("\ufeff")
    named: dict[str, list[RobotsRule]] = {}
    group: list[str] = []
    in_rules = False
    for key, value in _parse_lines(text):
        if key == "user-agent":
            if in_rules:
                group, in_rules = [], False
            group.append(_product_token(value))
            named.setdefault(group[-1], [])
        elif key in {"allow", "disallow"}:
            in_rules = True
            for name in set(group) & {PRODUCT_NAME, "*"}:
                if value and len(named[name]) < _ROBOTS_RULES_MAX:
                    named[name].append(_parse_rule(value, allows=key == "allow"))
    return RobotsRules(tuple(named.get(PRODUCT_NAME, named.get("*", ()))))


def _parse_lines(text: str) -> Iterator[tuple[str, str]]:
    for line in re.split(r"\r\n|\r|\n", text):
        found = _LINE_PATTERN.match(line)
        if found:
            yield found[1].lower(), found[2].strip()


def _product_token(value: str) -> str:
    """Return the product token of a User-Agent line in lower case; "*" stands for every program."""
    token = _TOKEN_PATTERN.match(value)
    return token[0].lower() if token else value[:1]


def _parse_rule(value: str, *, allows: bool) -> RobotsRule:
    return RobotsRule(_normalize_path(re.sub(r"\*+", "*", value))[:_PATTERN_CHARS_MAX], allows)


def _normalize_path(path: str) -> str:
    """Normalize a path: escapes of plain characters are undone, other escapes are in upper case,
    and non-ASCII characters are escaped (RFC 9309 section 2.2.2).
    """
    plain = _ESCAPE_PATTERN.sub(_unescape, path)
    return "".join(c if c.isascii() else "".join(f"%{b:02X}" for b in c.encode()) for c in plain)


def _unescape(match: re.Match[str]) -> str:
    char = chr(int(match[1], 16))
    kept = not char.isascii() or not (char.isalnum() or char in "-._~")
    return match[0].upper() if kept else char


def _matches_pattern(pattern: str, path: str) -> bool:
    """Return whether a pattern matches; "*" stands for any text and a final "$" for the end. Each
    "*" takes linear time.
    """
    is_anchored = pattern.endswith("$")
    first, *parts = pattern.removesuffix("$").split("*")
    if not path.startswith(first):
        return False
    if is_anchored and not parts:
        return path == first
    at, last = len(first), parts.pop() if is_anchored else ""
    for part in parts:
        found = path.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return path.endswith(last) and at <= len(path) - len(last)
