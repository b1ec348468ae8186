"""Move the news fragments in changes/ into CHANGELOG.md, under the version of pyproject.toml.

Run it as ``python -m tests.house.changelog`` (``make changelog``). A release tool such as towncrier
writes a new section each time; this module adds to the section of the unreleased version.
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
KINDS: Final = (
    "app",
    "send",
    "carry",
    "trace",
    "stop",
    "respond",
    "learn",
    "demo",
    "security",
    "removed",
)
SENTENCES_MAX: Final = 2
_FRAGMENT_NAME: Final = re.compile(r"\d+\.([a-z]+)(?:\.\d+)?\.md")
_CODE_OR_LINK: Final = re.compile(r"`[^`]*`|\]\([^)]*\)")
_SENTENCE_END: Final = re.compile(r"[.?][)\"']*(?=\s|$)")
_CHANGELOG_PART: Final = re.compile(r"### (\w+)\n(.*?)(?=\n### |\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Fragment:
    """One change that people can notice; ``kind`` is empty if the file name has no kind."""

    file: Path
    kind: str
    text: str

    def faults(self) -> Iterator[str]:
        """Yield the reasons why this fragment cannot be gathered."""
        if self.kind not in KINDS:
            yield f"{self.file.name}: its name is ISSUE.KIND.md or ISSUE.KIND.NUMBER.md"
        sentences = len(_SENTENCE_END.findall(_CODE_OR_LINK.sub("x", self.text)))
        if not 1 <= sentences <= SENTENCES_MAX:
            yield f"{self.file.name}: it has {sentences} sentences, and may have one or two"


def fragments(root: Path = ROOT) -> list[Fragment]:
    """Return the fragments in ``changes/``, sorted by file name."""
    files = [one for one in sorted((root / "changes").iterdir()) if one.name != "README.md"]
    return [_read_fragment(file) for file in files]


def _read_fragment(file: Path) -> Fragment:
    named = _FRAGMENT_NAME.fullmatch(file.name)
    text = " ".join(file.read_text().split()).replace("](../", "](")
    return Fragment(file, named[1] if named else "", text)


def version(root: Path = ROOT) -> str:
    """Return the version that pyproject.toml declares."""
    declared = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    return str(declared)


def gather(root: Path = ROOT) -> int:
    """Move every fragment into its part of the changelog; return the number of fragments.

    Raises:
        ValueError: A fragment has a fault, or the changelog has no part for this version. No
            fragment is moved.
    """
    found, page = fragments(root), root / "CHANGELOG.md"
    faults = [fault for one in found for fault in one.faults()]
    if faults:
        raise ValueError("\n".join(faults))
    page.write_text(_add_fragments(found, page.read_text(), version(root)))
    for one in found:
        one.file.unlink()
    return len(found)


def _add_fragments(found: list[Fragment], page: str, version: str) -> str:
    """Return the page with these fragments added to the part of this version."""
    start = re.search(rf"^## {re.escape(version)}\b.*\n", page, re.MULTILINE)
    if start is None:
        raise ValueError(f"CHANGELOG.md has no part for {version}: add ## {version} (unreleased)")
    end = page.find("\n## ", start.end())
    head, part, rest = page[: start.end()], page[start.end() :], ""
    if end >= 0:
        part, rest = page[start.end() : end], page[end:]
    parts = {title: body.strip() for title, body in _CHANGELOG_PART.findall(part)}
    for one in found:
        title = one.kind.capitalize()
        parts[title] = f"{parts.get(title, '')}\n- {one.text}".strip()
    order = [kind.capitalize() for kind in KINDS if kind.capitalize() in parts]
    return head + "".join(f"\n### {title}\n\n{parts[title]}\n" for title in order) + rest


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{gather()} fragments are in CHANGELOG.md now.\n")
    except ValueError as fault:
        sys.exit(str(fault))
