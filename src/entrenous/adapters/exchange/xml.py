"""Read the little XML that exchanges speak, from strangers (docs/spec/exchange.md section 4.5).

expat itself expands entities and follows what a document type declares; so the declaration, which
entities need, is refused when it begins. Everything else is bounded.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

from entrenous.model.exchange import BadXml, TooLong

DEPTH_MAX: Final = 16
ELEMENTS_MAX: Final = 400_000


@dataclass(slots=True)
class Element:
    """One element: its name without the namespace, its attributes, its own text, its children."""

    name: str
    attributes: dict[str, str]
    text: str = ""
    children: list["Element"] = field(default_factory=list)

    def all(self, name: str) -> Iterator["Element"]:
        """Children of that name."""
        return (child for child in self.children if child.name == name)

    def one(self, *names: str) -> "Element | None":
        """The first child of that name, and so on down; None where there is none."""
        found: Element | None = self
        for name in names:
            found = next(found.all(name), None) if found is not None else None
        return found


def read_xml(untrusted_data: bytes, bytes_max: int) -> Element:
    """The root element.

    Raises:
        TooLong: it has more than ``bytes_max`` bytes.
        BadXml: it is no well-formed XML in UTF-8, declares a document type, or is too deep or wide.
    """
    if len(untrusted_data) > bytes_max:
        raise TooLong(limit_bytes=bytes_max)
    builder = _Builder()
    parser = expat.ParserCreate(encoding="UTF-8", namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text
    parser.StartDoctypeDeclHandler = builder.doctype
    try:
        untrusted_data.decode("utf-8")  # a byte order mark would overrule what we said above
        parser.Parse(untrusted_data, True)
    except (expat.ExpatError, ValueError) as problem:
        raise BadXml(why="it is not well-formed") from problem
    return builder.root


class _Builder:
    """Listens to expat and keeps the tree."""

    def __init__(self) -> None:
        self._top = Element("", {})
        self._open = [self._top]
        self._count = 0

    @property
    def root(self) -> Element:
        return self._top.children[0]

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if len(self._open) > DEPTH_MAX or self._count > ELEMENTS_MAX:
            raise BadXml(why="it has too many elements, or too deep ones")
        element = Element(name.rpartition(" ")[2], attributes)
        self._open[-1].children.append(element)
        self._open.append(element)

    def end(self, _name: str) -> None:
        self._open.pop()

    def text(self, text: str) -> None:
        self._open[-1].text += text

    def doctype(self, *_declared: object) -> None:
        raise BadXml(why="it declares a document type")
