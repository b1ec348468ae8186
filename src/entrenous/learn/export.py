"""The lessons as a static site and as sheets to print, in the person's language.

Pages run no script and load nothing.
"""

import base64
from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import Final

import jinja2

from entrenous.base.language import current_catalogue, day_in_words, language_of_person
from entrenous.crypto.hashing import sha256
from entrenous.learn.lesson import Lesson
from entrenous.learn.markdown import as_html
from entrenous.learn.sheet import Paper, write_sheet

INDEX: Final = "index.html"


def site_files(lessons: Sequence[Lesson]) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the bytes of every file: an index and, for each lesson, a page and one
    printable sheet per paper size. The same lessons give the same bytes.
    """
    yield INDEX, _render_page("index.html.j2", lessons=lessons)
    for position, lesson in enumerate(lessons):
        yield (
            f"{lesson.name}.html",
            _render_page(
                "lesson.html.j2",
                lesson=lesson,
                body=as_html(lesson.text),
                sheets={paper.name.title(): sheet_name(lesson, paper) for paper in Paper},
                before=lessons[position - 1] if position else None,
                after=lessons[position + 1] if position + 1 < len(lessons) else None,
            ),
        )
        for paper in Paper:
            yield sheet_name(lesson, paper), write_sheet(lesson, paper)


def sheet_name(lesson: Lesson, paper: Paper) -> str:
    return f"{lesson.name}-{paper.value}.pdf"


def _render_page(template: str, **shown: object) -> bytes:
    """Render one page. A ``body`` comes from our own Markdown renderer, which has escaped it."""
    style = _read_asset("style.css")
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        loader=jinja2.FunctionLoader(_read_asset),
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_translations(current_catalogue(), newstyle=True)  # type: ignore[attr-defined]
    text = environment.get_template(template).render(
        style=style,
        policy=_content_security_policy(style),
        language=language_of_person(),
        day_in_words=day_in_words,
        **shown,
    )
    return f"{text}\n".encode()


def _content_security_policy(style: str) -> str:
    """Return a content security policy that lets nothing run or load. The style sheet is allowed by
    its hash.
    """
    digest = base64.b64encode(sha256(style.encode())).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _read_asset(name: str) -> str:
    return files("entrenous.learn").joinpath("site", name).read_text(encoding="utf-8")
