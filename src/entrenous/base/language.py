"""The language that the person reads: its sentences, and its forms of days and numbers.

The code contains the English sentences, so no file is read for English. All other languages have a
catalogue in ``entrenous/locale``, which is read when its first sentence is needed. A web page
chooses its language with :func:`speaking`; otherwise environment variables decide.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from babel import Locale

    from entrenous.base.catalogue import Catalogue

ENGLISH: Final = "en"
LANGUAGES: Final = (ENGLISH, "es", "de")
#: What people may type for yes and for no, in all languages of the program.
YES_WORDS: Final = frozenset({"yes", "y", "sí", "si", "s", "ja", "j"})
NO_WORDS: Final = frozenset({"no", "n", "nein"})
PSEUDO_LANGUAGE: Final = "ar-XB"
"""A right-to-left pseudo-language in which every translated sentence is marked.

With it, tests find sentences that cannot be translated. It is not offered to people.
"""

_LANGUAGE_VARIABLES: Final = ("ENTRENOUS_LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")
_chosen_language: ContextVar[str] = ContextVar("language", default="")


def language_of_person(environment: Mapping[str, str] = os.environ) -> str:
    """Return the tag of the language in which the person reads, such as "es"."""
    return _chosen_language.get() or _language_of_environment(environment)


def _language_of_environment(environment: Mapping[str, str]) -> str:
    """Return the language that the first non-empty variable in _LANGUAGE_VARIABLES names.

    If this program does not have that language, or the value names none (such as "C"), the language
    is English.
    """
    wanted = next(
        (value for name in _LANGUAGE_VARIABLES if (value := environment.get(name))), ENGLISH
    )
    if wanted == PSEUDO_LANGUAGE:
        return PSEUDO_LANGUAGE
    tag = wanted.replace("_", "-").partition("-")[0].partition(".")[0].lower()
    return tag if tag in LANGUAGES else ENGLISH


@contextmanager
def speaking(tag: str) -> Iterator[None]:
    """Show everything inside the block in this language, whatever the environment says."""
    before = _chosen_language.set(tag)
    try:
        yield
    finally:
        _chosen_language.reset(before)


def speak_english() -> None:
    """From here to the end of the enclosing :func:`speaking`, show everything in English.

    Answers for scripts need this.
    """
    _chosen_language.set(ENGLISH)


def translated(text: str) -> str:
    """Return a sentence in the person's language; English if there is no translation.

    The text must be a literal, so that ``make messages`` finds it, or be marked with
    :func:`translatable` where it is written.
    """
    tag = language_of_person()
    return text if tag == ENGLISH else catalogue_of(tag).gettext(text)


def plural(one: str, many: str, count: int) -> str:
    """Return the sentence that fits ``count`` things, with ``{count}`` filled in."""
    tag = language_of_person()
    if tag == ENGLISH:
        said = one if count == 1 else many
    else:
        said = catalogue_of(tag).ngettext(one, many, count)
    return said.replace("{count}", localized_number(count))


def translatable(text: str) -> str:
    """Return the text unchanged, but mark it for translation.

    Sentences in tables are marked with this, and translated later, when they are shown.
    """
    return text


def day_in_words(day: date) -> str:
    """Return a day for people, such as "5 June 2026"; a time gives the day in its own zone."""
    if language_of_person() == ENGLISH:
        return f"{day.day} {day:%B %Y}"
    from babel.dates import format_date  # noqa: PLC0415 - slow to import; not needed for English

    return format_date(day, "long", locale=current_locale())


def weekday_in_words(day: date) -> str:
    """Return the name of a day of the week, such as "Monday"."""
    return _format_day(day, f"{day:%A}", "EEEE")


def month_day_in_words(day: date) -> str:
    """Return a day without its year, such as "5 June"."""
    if language_of_person() == ENGLISH:
        return f"{day.day} {day:%B}"
    from babel.dates import format_skeleton  # noqa: PLC0415 - as above

    words: str = format_skeleton("MMMMd", day, locale=current_locale())
    return words


def long_day_in_words(day: date) -> str:
    """Return a day with its weekday, such as "Friday 5 June 2026"."""
    return _format_day(day, f"{day:%A} {day.day} {day:%B %Y}", "full")


def _format_day(day: date, english: str, style: str) -> str:
    if language_of_person() == ENGLISH:
        return english
    from babel.dates import format_date  # noqa: PLC0415 - as above

    return format_date(day, style, locale=current_locale())


def moment_in_words(at: datetime) -> str:
    """Return a time for people, with its zone: "5 June 2026, 14:30 UTC"."""
    if language_of_person() == ENGLISH:
        return f"{day_in_words(at)}, {at:%H:%M %Z}"
    from babel.dates import format_time  # noqa: PLC0415 - as above

    return f"{day_in_words(at)}, {format_time(at, 'HH:mm', locale=current_locale())} {at:%Z}"


def localized_number(value: float) -> str:
    """Return a number with the language's separators; English keeps Python's plain digits."""
    if language_of_person() == ENGLISH or (isinstance(value, int) and abs(value) < 1000):
        return str(value)
    from babel.numbers import format_decimal  # noqa: PLC0415 - as above

    return format_decimal(value, locale=current_locale())


def current_locale() -> Locale:
    """Return Babel's locale for the person's language."""
    return locale_of(language_of_person())


@cache
def locale_of(tag: str) -> Locale:
    """Return Babel's locale for a language; for the pseudo-language it is Arabic.

    For English it is British English, which writes dates as most countries do: "5 June 2026".
    """
    from babel import Locale  # noqa: PLC0415 - as above

    return Locale.parse("en_GB" if tag == ENGLISH else tag.partition("-")[0])


def current_catalogue() -> Catalogue:
    """Return the catalogue of the person's language, for templates; it is empty for English."""
    return catalogue_of(language_of_person())


@cache
def catalogue_of(tag: str) -> Catalogue:
    """Return a language's catalogue; it is empty for English, which the code itself contains."""
    from entrenous.base.catalogue import pseudo_catalogue, read_catalogue  # noqa: PLC0415 - not
    # needed for English

    return pseudo_catalogue() if tag == PSEUDO_LANGUAGE else read_catalogue(tag)


def duration_in_words(duration: timedelta) -> str:
    """Return a duration in its two largest units, rounded down.

    >>> duration_in_words(timedelta(days=1, hours=3, minutes=20))
    '1 day and 3 hours'
    """
    days, rest = divmod(duration, timedelta(days=1))
    hours, rest = divmod(rest, timedelta(hours=1))
    minutes = rest // timedelta(minutes=1)
    parts = (
        (days, plural("{count} day", "{count} days", days)),
        (hours, plural("{count} hour", "{count} hours", hours)),
        (minutes, plural("{count} minute", "{count} minutes", minutes)),
    )
    said = [words for number, words in parts if number][:2]
    if len(said) < 2:
        return said[0] if said else translated("less than a minute")
    return translated("{first} and {second}").format(first=said[0], second=said[1])
