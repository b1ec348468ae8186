"""The languages of the pages: translated sentences, dates, numbers and plurals."""

import re
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from typing import Final

import jinja2
from babel import Locale, negotiate_locale
from babel.dates import format_date, format_time
from babel.numbers import format_decimal

from entrenous.base.catalogue import Catalogue
from entrenous.base.language import (
    LANGUAGES,
    PSEUDO_LANGUAGE,
    catalogue_of,
    language_of_person,
    locale_of,
)

__all__ = ["LANGUAGES", "Language", "language_for"]

_FORM_TAG_WITHOUT_AUTOCOMPLETE: Final = '<form autocomplete="off" '
_PASSWORD_AUTOCOMPLETE_PATTERN: Final = re.compile(r'autocomplete="(?:new|current)-password"')


@dataclass(frozen=True, slots=True, eq=False)
class Language:
    """A language of the pages. ``tag`` is an IETF language tag, ``direction`` is "ltr" or "rtl"."""

    tag: str
    direction: str
    sentences: Catalogue

    def template(self, name: str) -> jinja2.Template:
        """Return a template whose sentences are in this language."""
        return _template_environment(self).get_template(name)

    def day(self, at: datetime) -> str:
        """Return a day in words, in the machine's own time zone."""
        return format_date(at.astimezone(), "long", locale=self.locale)

    def calendar_day(self, day: date) -> str:
        return format_date(day, "long", locale=self.locale)

    def time(self, at: datetime) -> str:
        return format_time(at.astimezone(), "short", locale=self.locale)

    def moment(self, at: datetime) -> str:
        """Return a day and a time in words, in the machine's own time zone."""
        return f"{self.day(at)}, {format_time(at.astimezone(), 'HH:mm', locale=self.locale)}"

    def number(self, value: float) -> str:
        return format_decimal(value, locale=self.locale)

    @property
    def locale(self) -> Locale:
        return locale_of(self.tag)


def language_for(header: str) -> Language:
    """Return the best language for a tag or an Accept-Language header (RFC 9110, 12.5.4).

    If no language matches, the language of the environment is used.
    """
    if header == PSEUDO_LANGUAGE:
        return _make_language(PSEUDO_LANGUAGE)
    tags = [part.partition(";")[0].strip().replace("-", "_") for part in header.split(",")]
    try:
        best = negotiate_locale([tag for tag in tags if tag], LANGUAGES)
    except ValueError:
        best = None
    return _make_language(best or language_of_person())


@cache
def _make_language(tag: str) -> Language:
    return Language(tag, locale_of(tag).text_direction, catalogue_of(tag))


@cache
def _template_environment(language: Language) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_read_template_without_autofill),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.install_gettext_translations(language.sentences, newstyle=True)  # type: ignore[attr-defined]
    return environment


def _read_template_without_autofill(name: str) -> str:
    """Return a template's source, with attributes that stop browsers from storing typed text.

    Browsers store the fields of a form in their profile, so that they can fill in the form again or
    restore the page after a crash. The attribute ``autocomplete="off"`` of a form prevents this.
    Browsers also offer to store a password together with the name in the field beside it, and they
    keep that name even if the person declines. If the password field is marked as a one-time code,
    browsers neither make this offer nor keep the name.
    """
    text = files(__package__).joinpath("templates", name).read_text(encoding="utf-8")
    return _PASSWORD_AUTOCOMPLETE_PATTERN.sub(
        'autocomplete="one-time-code"', text.replace("<form ", _FORM_TAG_WITHOUT_AUTOCOMPLETE)
    )
