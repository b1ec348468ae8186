"""The Markdown of lessons: paragraphs, headings, lists, emphasis, code words and links.

Lessons are parsed by markdown-it-py (CommonMark). Any other Markdown, such as raw HTML, is refused,
so that the plain text, the page and the PDF show the same content.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from textwrap import fill
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token


class UnsupportedMarkdown(ValueError):
    """A text contains a kind of Markdown that lessons do not use. The argument names the kind."""


class BlockKind(StrEnum):
    PARAGRAPH = "paragraph"
    HEADING = "heading"
    BULLET = "bullet"
    NUMBERED = "numbered"


@dataclass(frozen=True, slots=True)
class TextSpan:
    """A piece of a line. ``url`` is empty unless the piece is a link."""

    text: str
    strong: bool = False
    code: bool = False
    url: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, a heading or one item of a list; ``number`` counts numbered items from 1."""

    kind: BlockKind
    spans: tuple[TextSpan, ...]
    number: int = 0

    @property
    def text(self) -> str:
        return "".join(span.text for span in self.spans)


_ALLOWED_BLOCK_TOKENS: Final = frozenset(
    {
        *("paragraph_open", "paragraph_close", "heading_open", "heading_close", "inline"),
        *("bullet_list_open", "bullet_list_close", "ordered_list_open", "ordered_list_close"),
        *("list_item_open", "list_item_close"),
    }
)
_KIND_OF_LIST_TOKEN: Final = {
    "bullet_list_open": BlockKind.BULLET,
    "ordered_list_open": BlockKind.NUMBERED,
}
_LIST_END_TOKENS: Final = frozenset({"bullet_list_close", "ordered_list_close"})
_HEADING_TAG: Final = "h2"


def parse_markdown_blocks(text: str) -> tuple[Block, ...]:
    """Parse the Markdown of lessons; raises UnsupportedMarkdown."""
    reader = MarkdownIt("commonmark", {"html": True})  # so that HTML is recognised, and refused
    reader.validateLink = bool  # type: ignore[method-assign, assignment]  # accept any address; _parse_spans refuses some
    return tuple(_parse_blocks(reader.parse(text)))


def markdown_as_html(text: str) -> str:
    """Render the Markdown of lessons as HTML; text is escaped. Raises UnsupportedMarkdown."""
    parse_markdown_blocks(text)
    return str(MarkdownIt("commonmark", {"html": False}).render(text))


def blocks_as_plain_text(blocks: Sequence[Block], width: int) -> str:
    """Render blocks for a terminal of ``width`` columns. Empty lines separate blocks, but not the
    items of a list.
    """
    shown = list[str]()
    for before, block in zip([None, *blocks], blocks, strict=False):
        follows = before is not None and before.kind is block.kind in _LIST_ITEM_KINDS
        shown += [*([] if follows or before is None else [""]), _block_as_plain_text(block, width)]
    return "\n".join(shown)


_LIST_ITEM_KINDS: Final = frozenset({BlockKind.BULLET, BlockKind.NUMBERED})


def _block_as_plain_text(block: Block, width: int) -> str:
    if block.kind is BlockKind.HEADING:
        return block.text.upper()
    mark = {BlockKind.BULLET: "- ", BlockKind.NUMBERED: f"{block.number}. "}.get(block.kind, "")
    return fill(
        block.text,
        width,
        initial_indent=mark,
        subsequent_indent=" " * len(mark),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _parse_blocks(tokens: Sequence[Token]) -> Iterator[Block]:
    kind, number, nested = BlockKind.PARAGRAPH, 0, False
    for token in tokens:
        _refuse_unsupported_token(token, nested=nested)
        if token.type in _KIND_OF_LIST_TOKEN:
            kind, number, nested = _KIND_OF_LIST_TOKEN[token.type], 0, True
        elif token.type in _LIST_END_TOKENS:
            kind, nested = BlockKind.PARAGRAPH, False
        elif token.type == "list_item_open":
            number += 1
        elif token.type == "heading_open":
            kind = BlockKind.HEADING
        elif token.type == "heading_close":
            kind = BlockKind.PARAGRAPH
        elif token.type == "inline":
            shown = number if kind is BlockKind.NUMBERED else 0
            yield Block(kind, tuple(_parse_spans(token.children or ())), shown)


def _refuse_unsupported_token(token: Token, *, nested: bool) -> None:
    if token.type not in _ALLOWED_BLOCK_TOKENS or (nested and token.type in _KIND_OF_LIST_TOKEN):
        raise UnsupportedMarkdown(
            "a list in a list" if nested else token.type.removesuffix("_open")
        )
    if token.type == "heading_open" and token.tag != _HEADING_TAG:
        raise UnsupportedMarkdown("a heading other than ##")


def _parse_spans(children: Sequence[Token]) -> Iterator[TextSpan]:
    strong, url = False, ""
    for child in children:
        match child.type:
            case "text":
                yield TextSpan(child.content, strong, url=url)
            case "softbreak":
                yield TextSpan(" ", strong, url=url)
            case "code_inline":
                yield TextSpan(child.content, strong, code=True, url=url)
            case "strong_open" | "strong_close":
                strong = child.type == "strong_open"
            case "link_open":
                url = str(child.attrGet("href") or "")
                if not url.startswith("https://"):
                    raise UnsupportedMarkdown("a link that is not https")
            case "link_close":
                url = ""
            case "em_open" | "em_close":
                pass  # slanted letters are harder to read, so emphasis is shown upright
            case other:
                raise UnsupportedMarkdown(other)
