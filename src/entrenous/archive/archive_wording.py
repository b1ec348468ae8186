"""What a person reads about an archive that was made or read."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from entrenous.archive.archive_format import ExportReport, ImportReport
from entrenous.base.identifiers import PersonId
from entrenous.base.language import plural, translated

_COUNT_WORDING: Final[Mapping[str, Callable[[int], str]]] = MappingProxyType(
    {
        "people": lambda count: plural("{count} person", "{count} people", count),
        "circles": lambda count: plural("{count} circle", "{count} circles", count),
        "sent": lambda count: plural("{count} sent", "{count} sent", count),
        "received": lambda count: plural("{count} received", "{count} received", count),
        "traces": lambda count: plural("{count} trace", "{count} traces", count),
        "cases": lambda count: plural("{count} case", "{count} cases", count),
        "protections": lambda count: plural("{count} protection", "{count} protections", count),
    }
)


def count_in_words(name: str, count: int) -> str:
    """Return a count as text, given its name in the JSON answer."""
    return _COUNT_WORDING[name](count)


def counts_by_name(report: ImportReport) -> dict[str, int]:
    """Return the number of new items of each kind, by the names of the JSON answer."""
    return {name: getattr(report, name) for name in _COUNT_WORDING}


def describe_omissions(report: ExportReport) -> Iterator[str]:
    """Yield sentences that say what an export left out."""
    if report.unopened:
        yield plural(
            "{count} message is not in it, since it is still to be opened here.",
            "{count} messages are not in it, since they are still to be opened here.",
            report.unopened,
        )
    if report.left_of_cases:
        yield plural(
            "{count} file of cases in which somebody was, or may have been, under 18 stayed here. "
            "Where it was seen, and what you said, is in the archive.",
            "{count} files of cases in which somebody was, or may have been, under 18 stayed here. "
            "Where they were seen, and what you said, is in the archive.",
            report.left_of_cases,
        )
    if report.lost:
        yield plural(
            "{count} file could not be put into it: missing or damaged on this device.",
            "{count} files could not be put into it: missing or damaged on this device.",
            report.lost,
        )


def describe_import(report: ImportReport) -> Iterator[str]:
    """Yield sentences that say who made an archive, and what in it was new to this device."""
    if report.person is not None:
        yield translated("This archive was made by {person}.").format(
            person=_person_label(report.person, report.made_by)
        )
    if report.has_nothing_new:
        yield translated("Nothing in it is new here.")
        return
    new = [count_in_words(name, count) for name, count in counts_by_name(report).items() if count]
    yield translated("Imported: {what}.").format(what=", ".join(new))


def describe_omitted_cases(report: ImportReport) -> Iterator[str]:
    """Yield sentences that say which cases were not imported, and why."""
    for name in report.other_cases:
        yield translated("{name} was left out: a different case of that name is here.").format(
            name=name
        )
    for name in report.erased_cases:
        yield translated(
            "{name} was left out: you erased it here, and somebody in it was, or may have been, "
            "under 18."
        ).format(name=name)


def _person_label(person: PersonId, known: str | None) -> str:
    """Describe the maker of an archive, as far as this device knows them.

    A new device does not know even its own owner's earlier devices.
    """
    number = person.hex()[:16]
    spaced = " ".join(number[start : start + 4] for start in range(0, len(number), 4))
    name = known or translated("somebody this device does not know")
    return translated("{name} (person {number})").format(name=name, number=spaced)
