"""The sentences of a language: a reader of .po files, and a pseudo-language for tests.

The files have gettext's format (GNU gettext manual, "The Format of PO Files"), in the form that
``make messages`` writes. Any other form is refused. There are no compiled .mo files, because
reading the text takes only a few milliseconds (docs/decisions/0045-one-catalogue.md).
"""

import gettext
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Final

GETTEXT_DOMAIN: Final = "entrenous"
CONTEXT_SEPARATOR: Final = "\x04"  # separates context and sentence in a key, as in gettext
_PO_STRING_PATTERN: Final = r'"(?:[^"\\\n]|\\.)*"(?:\n"(?:[^"\\\n]|\\.)*")*'
_SKIPPED_LINES_PATTERN: Final = r"(?:(?:#[^\n]*)?\n)*+"  # comments and empty lines
_ENTRY_PATTERN: Final = re.compile(
    rf"{_SKIPPED_LINES_PATTERN}(?:msgctxt (?P<context>{_PO_STRING_PATTERN})\n)?"
    rf"msgid (?P<one>{_PO_STRING_PATTERN})\n"
    rf"(?:msgstr (?P<said>{_PO_STRING_PATTERN})\n"
    rf"|msgid_plural {_PO_STRING_PATTERN}\n"
    rf"msgstr\[0\] (?P<first>{_PO_STRING_PATTERN})\nmsgstr\[1\] (?P<second>{_PO_STRING_PATTERN})\n)"
)
_END_PATTERN: Final = re.compile(rf"{_SKIPPED_LINES_PATTERN}\Z")
_ESCAPE_PATTERN: Final = re.compile(r"\\(.)")
_CHAR_BY_ESCAPE: Final = {"n": "\n", "t": "\t"}


class Catalogue(gettext.NullTranslations):
    """The sentences of one language, found by their English originals.

    In every language of the program, a sentence with a number has two forms: one for the number 1,
    and one for all other numbers.
    """

    def __init__(self, sentences: Mapping[str, tuple[str, ...]]) -> None:
        super().__init__()
        self.sentences = sentences

    def gettext(self, message: str) -> str:
        return self._translation(message, 0) or message

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return self._translation(msgid1, int(n != 1)) or (msgid1 if n == 1 else msgid2)

    def pgettext(self, context: str, message: str) -> str:
        return self._translation(f"{context}{CONTEXT_SEPARATOR}{message}", 0) or message

    def npgettext(self, context: str, msgid1: str, msgid2: str, n: int) -> str:
        said = self._translation(f"{context}{CONTEXT_SEPARATOR}{msgid1}", int(n != 1))
        return said or (msgid1 if n == 1 else msgid2)

    def _translation(self, key: str, form: int) -> str:
        forms = self.sentences.get(key, ("",))
        return forms[min(form, len(forms) - 1)]


def read_catalogue(tag: str) -> Catalogue:
    """Return a language's catalogue; it is empty if the language has no file."""
    file = files("entrenous").joinpath("locale", tag, "LC_MESSAGES", f"{GETTEXT_DOMAIN}.po")
    return Catalogue(parse_po(file.read_text(encoding="utf-8")) if file.is_file() else {})


def parse_po(text: str) -> dict[str, tuple[str, ...]]:
    """Return the translations of each English sentence: one, or two if it has a number.

    The key of a sentence with a context is the context, CONTEXT_SEPARATOR and the sentence, as in
    gettext. Raises ValueError if the text is not in the expected form.
    """
    found, at = dict[str, tuple[str, ...]](), 0
    while entry := _ENTRY_PATTERN.match(text, at):
        at = entry.end()
        context, one, said, first, second = entry.groups()
        key = _unquote_po_lines(one)
        if context is not None:
            key = _unquote_po_lines(context) + CONTEXT_SEPARATOR + key
        found[key] = (
            (_unquote_po_lines(said),)
            if first is None
            else (_unquote_po_lines(first), _unquote_po_lines(second))
        )
    if not _END_PATTERN.match(text, at):
        raise ValueError(f"not the text of a catalogue: {text[at : at + 80]!r}")
    found.pop("", None)  # the entry for the empty sentence is the file's header
    return found


def _unquote_po_lines(lines: str) -> str:
    text = lines[1:-1].replace('"\n"', "")
    if "\\" not in text:
        return text
    return _ESCAPE_PATTERN.sub(lambda found: _CHAR_BY_ESCAPE.get(found[1], found[1]), text)


_ACCENT_TABLE: Final = str.maketrans(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "åƀçđéƒĝĥîĵķļɱñöþǫŕšţûṽŵẋýžÅƁÇĐÉƑĜĤÎĴĶĻṀÑÖÞǪŔŠŢÛṼŴẊÝŽ",
)
_UNCHANGED_PARTS_PATTERN: Final = re.compile(
    r"\{[^{}]*\}|%\([a-z_]+\)[sd]|%%|<[^<>]*>|&\w+;|https?://\S+|entrenous(?: [\w-]+)*|--[\w-]+"
)


class _PseudoCatalogue(Catalogue):
    """Translates English sentences by adding accents, brackets, and tildes that make the sentence a
    third longer.
    """

    def _translation(self, key: str, form: int) -> str:
        del form  # the pseudo-language has a single form for all numbers
        return pseudo_text(key.rpartition(CONTEXT_SEPARATOR)[2])

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return pseudo_text(msgid1 if n == 1 else msgid2)


def pseudo_catalogue() -> Catalogue:
    """Return the catalogue of the pseudo-language."""
    return _PseudoCatalogue({})


def pseudo_text(text: str) -> str:
    """Return a sentence with accents and in brackets; leave placeholders, tags and commands
    unchanged.

    >>> pseudo_text("Save {name}")
    '[Šåṽé {name} ~~~]'
    """
    if not text.strip():
        return text
    kept = _UNCHANGED_PARTS_PATTERN.findall(text)
    pieces = [piece.translate(_ACCENT_TABLE) for piece in _UNCHANGED_PARTS_PATTERN.split(text)]
    said = "".join(piece + mark for piece, mark in zip(pieces, [*kept, ""], strict=True))
    return f"[{said} {'~' * (len(text) // 3)}]"
