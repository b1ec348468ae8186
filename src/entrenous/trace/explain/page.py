"""The report as one self-contained HTML page without scripts."""

import base64
from importlib.resources import files
from typing import Final

import jinja2

from entrenous.base.language import current_catalogue, language_of_person, translated
from entrenous.crypto.hashing import sha256
from entrenous.trace.explain.drawing import drawing_as_svg
from entrenous.trace.explain.report_pictures import ReportPicture
from entrenous.trace.explain.sections import ReportContent
from entrenous.trace.explain.wording import (
    NOT_WHO_PASSED_IT_ON,
    how_to_check_trace,
    translated_caveats,
)

_SHOWN_PICTURE_NAMES: Final = ("original", "outlined", "laid", "found")


def write_page(content: ReportContent, *, veiled: bool = False) -> str:
    """Render the page; text that others chose (a label, a file name) is escaped."""
    style = _read_asset("page.css")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, extensions=["jinja2.ext.i18n"]
    )
    environment.install_gettext_translations(current_catalogue(), newstyle=True)  # type: ignore[attr-defined]
    shown = content.pictures
    data = {name: _data_url(getattr(shown, name)) for name in _SHOWN_PICTURE_NAMES} if shown else {}
    return environment.from_string(_read_asset("page.html.j2")).render(
        it=content,
        lang=language_of_person(),
        style=style,
        policy=_content_security_policy(style),
        not_who=translated(NOT_WHO_PASSED_IT_ON),
        limits=translated_caveats(),
        check=how_to_check_trace(content.number),
        plot=drawing_as_svg(content.plot) if content.plot else "",
        tone=drawing_as_svg(content.tone) if content.tone else "",
        veiled=veiled,
        **data,
    )


def _data_url(picture: ReportPicture) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(picture.jpeg).decode()


def _content_security_policy(style: str) -> str:
    """Return a policy that allows only embedded pictures, and the style sheet by its hash."""
    digest = base64.b64encode(sha256(style.encode())).decode()
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; "
        "form-action 'none'"
    )


def _read_asset(name: str) -> str:
    return files("entrenous.trace.explain").joinpath(name).read_text(encoding="utf-8")
