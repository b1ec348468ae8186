"""Render a notice as an accessible PDF."""

from collections.abc import Iterator

from entrenous.media.tagged_pdf import Block, Tag, write_tagged_pdf
from entrenous.respond.nouns import Notice, Part


def render_pdf(notice: Notice) -> bytes:
    """Return a notice as a PDF with title, language, bookmarks and tags; nothing else is in it."""
    title = notice.parts[0].heading
    blocks = [block for number, part in enumerate(notice.parts) for block in _blocks(part, number)]
    return write_tagged_pdf(title, notice.language, blocks, notice.drafted_at)


def _blocks(part: Part, number: int) -> Iterator[Block]:
    yield Block(Tag.HEADING if number else Tag.TITLE, part.heading)
    yield from (Block(Tag.PARAGRAPH, line) for line in part.lines if line.strip())
