"""Lint the shipped facts: each has a source and a date, and refers only to what exists.

``python -m tests.respond.facts_lint`` prints an error for each broken rule and exits with 1, and a
warning for each fact that was read more than 180 days ago. It is part of ``make check``.
"""

import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib import resources
from importlib.resources.abc import Traversable
from itertools import chain
from typing import Any, Final
from urllib.parse import urlsplit

from entrenous.respond.fact_tables import FACT_FRESH_DAYS

#: Files with texts of our own, which state no facts.
OWN_FILES: Final = ("wordings", "notes")
#: Tables with texts of our own, or with ids of facts whose sources are in other tables.
OWN_TABLES: Final = frozenset({"wording", "ladder", "question", "police"})
#: Allowed addresses without TLS that people are sent to, each with its reason.
HTTP_REASONS: Final[Mapping[str, str]] = {
    "http://timestamp.identrust.com": "RFC 3161: one hash leaves, and the answer is signed",
    "http://timestamp.digicert.com": "RFC 3161: one hash leaves, and the answer is signed",
    "http://tongdai111.vn": "the only address that was read for this line",
}
SOURCES: Final = ("source", "source2", "sources")  # where a fact was read; http is allowed
SENT_TO: Final = ("report_url", "tida_process_url", "dsa_contact", "web", "url")
POINTERS: Final[Mapping[str, str]] = {  # column: the table that its ids are from
    "route": "route",
    "routes": "route",
    "version_of": "route",
    "platform": "platform",
    "platforms": "platform",
    "contact": "contact",
    "contacts": "contact",
}
EARLIEST: Final = date(1900, 1, 1)  # for dates in laws; for read_on: FIRST_READING
FIRST_READING: Final = date(2025, 1, 1)
LATEST: Final = date(2100, 1, 1)

Files = Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table of facts; ``read_on`` and ``sources`` include its file's defaults."""

    file: str
    table: str
    id: str
    columns: Mapping[str, Any]
    read_on: object
    sources: tuple[object, ...]

    def __str__(self) -> str:
        return f"{self.file}: [{self.table}.{self.id}]"


@dataclass(frozen=True, slots=True)
class Report:
    """Errors, which fail the check, and warnings, which do not."""

    errors: tuple[str, ...]
    warnings: tuple[str, ...]


def shipped_facts() -> Files:
    """Return every table in respond/facts/ by its path there."""
    return dict(_files(resources.files("entrenous.respond").joinpath("facts"), ""))


def lint(files: Files, today: date) -> Report:
    """Check all tables of facts together."""
    try:
        tables = {name: tomllib.loads(data.decode()) for name, data in files.items()}
    except ValueError as why:
        return Report((f"no TOML: {why}",), ())
    rows = tuple(chain.from_iterable(_rows(name, table) for name, table in tables.items()))
    known = _ids(rows)
    errors = chain(
        chain.from_iterable(_unsourced_values(name, table) for name, table in tables.items()),
        chain.from_iterable(rule(row) for row in rows for rule in _RULES),
        chain.from_iterable(_dates(row, today) for row in rows),
        chain.from_iterable(_pointers(row, known) for row in rows),
        chain.from_iterable(_police(name, table, known) for name, table in tables.items()),
        _duplicate_ids(rows),
        _duplicate_hosts(rows),
    )
    return Report(tuple(errors), tuple(_stale(rows, today)))


def _files(folder: Traversable, under: str) -> Iterator[tuple[str, bytes]]:
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        path = f"{under}{entry.name}"
        if entry.is_dir():
            yield from _files(entry, f"{path}/")
        elif path.endswith(".toml"):
            yield path, entry.read_bytes()


def _is_own(file: str, table: str) -> bool:
    return file.startswith(OWN_FILES) or table in OWN_TABLES


def _rows(file: str, top: Mapping[str, Any]) -> Iterator[Row]:
    for table, rows in top.items():
        if not isinstance(rows, dict) or file.startswith(OWN_FILES):
            continue
        for id_, columns in rows.items():
            if isinstance(columns, dict):
                read_on = columns.get("read_on", top.get("read_on"))
                sources = (*_sources(columns), *_sources(top))
                yield Row(file, table, id_, columns, read_on, sources)


def _sources(columns: Mapping[str, Any]) -> Iterator[object]:
    for name in (*SOURCES, "web"):
        value = columns.get(name, [])
        yield from value if isinstance(value, list) else [value]


def _unsourced_values(file: str, top: Mapping[str, Any]) -> Iterator[str]:
    """Yield an error for each table of single values if the file lacks a source or a date."""
    for table, rows in top.items():
        plain = isinstance(rows, dict) and any(not isinstance(one, dict) for one in rows.values())
        sourced = any(_sources(top)) and isinstance(top.get("read_on"), date)
        if plain and not sourced and not _is_own(file, table):
            yield f"{file}: [{table}]: a fact without source, or without the day it was read"


def _has_source(row: Row) -> Iterator[str]:
    if row.table in OWN_TABLES:
        return
    texts = [one for one in row.sources if isinstance(one, str)]
    if not any(_SOURCE.search(one) for one in texts):
        yield f"{row}: no source"
    if not isinstance(row.read_on, date):
        yield f"{row}: not a word about the day it was read"
    if "verified" in row.columns and not isinstance(row.columns["verified"], bool):
        yield f"{row}: verified is true or false"


#: A web address, a file in a public repository ("owner/name path"), or a rule of our own.
_SOURCE: Final = re.compile(r"https?://|^[\w.-]+/[\w.-]+ \S|^docs/spec/\w+\.md")


def _addresses(row: Row) -> Iterator[str]:
    """Check the addresses that people are sent to, and the addresses of sources."""
    for column in SENT_TO:
        yield from _address(row, column, row.columns.get(column, ""), HTTP_REASONS)
    for source in row.sources:
        if isinstance(source, str) and "://" in source:
            yield from _address(row, "source", source.split()[0].strip(",;"), None)


def _address(
    row: Row, column: str, text: object, reasons: Mapping[str, str] | None
) -> Iterator[str]:
    if not isinstance(text, str) or "://" not in text:
        return
    parts = urlsplit(text)
    if "." not in (parts.hostname or "") or parts.scheme not in ("http", "https"):
        yield f"{row}: {column} is no web address: {text}"
    elif parts.scheme == "http" and reasons is not None and text not in reasons:
        yield f"{row}: {column} is without TLS, and no reason is given: {text}"


def _mentions_of_files(row: Row) -> Iterator[str]:
    """Yield an error for text that names our files or tables, which people do not have."""
    for column, value in row.columns.items():
        if column != "verified_by" and (found := _FILE_OR_TABLE_NAME.search(str(value))):
            yield f"{row}: {column} names a file or a table of ours: {found[0]}"


_FILE_OR_TABLE_NAME: Final = re.compile(r"\w+\.toml|\bplatform\.[a-z]\w+|\broute\.[a-z]\w+")
_RULES: Final = (_has_source, _addresses, _mentions_of_files)


def _dates(row: Row, today: date) -> Iterator[str]:
    if isinstance(row.read_on, date) and not FIRST_READING <= row.read_on <= today:
        yield f"{row}: read on {row.read_on}, which cannot be"
    for column, value in row.columns.items():
        if isinstance(value, date) and not EARLIEST <= value <= LATEST:
            yield f"{row}: {column} is {value}, which cannot be"
    begins, ends = row.columns.get("in_force_from"), row.columns.get("in_force_until")
    if isinstance(begins, date) and isinstance(ends, date) and ends < begins:
        yield f"{row}: ends on {ends}, before it begins"


def _ids(rows: tuple[Row, ...]) -> Mapping[str, frozenset[str]]:
    return {
        table: frozenset(row.id for row in rows if row.table == table)
        for table in ("route", "platform", "contact")
    }


def _pointers(row: Row, known: Mapping[str, frozenset[str]]) -> Iterator[str]:
    for column, table in POINTERS.items():
        value = row.columns.get(column, [])
        for id_ in value if isinstance(value, list) else [value]:
            if isinstance(id_, str) and id_ not in known[table]:
                yield f"{row}: {column} names {id_}, and there is none"
    for text in map(str, row.columns.values()):
        for id_ in re.findall(r"entrenous case platform ([a-z]\w*)", text):
            if id_ not in known["platform"]:
                yield f"{row}: tells to type the platform {id_}, and there is none"


def _police(
    file: str, top: Mapping[str, Any], known: Mapping[str, frozenset[str]]
) -> Iterator[str]:
    """Check that each row of ``[police]`` names a route that exists."""
    rows = top.get("police")
    for place, text in rows.items() if isinstance(rows, dict) else ():
        if not known["route"] & set(re.findall(r"[a-z][a-z0-9-]+", str(text))):
            yield f"{file}: [police] {place}: names no route that is there"


def _duplicate_ids(rows: tuple[Row, ...]) -> Iterator[str]:
    file_of_id: dict[tuple[str, str], str] = {}
    for row in rows:
        if row.table in ("route", "platform", "contact"):
            key = (row.table, row.id)
            if key in file_of_id:
                yield f"{row}: also in {file_of_id[key]}"
            file_of_id[key] = row.file


def _duplicate_hosts(rows: tuple[Row, ...]) -> Iterator[str]:
    owner_of_host: dict[str, str] = {}
    for row in rows:
        for host in row.columns.get("hosts", []) if row.table == "platform" else ():
            if host in owner_of_host:
                yield f"{row}: {host} also belongs to {owner_of_host[host]}"
            if not re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", host):
                yield f"{row}: {host} is no host name in ASCII"
            owner_of_host[host] = row.id


def _stale(rows: tuple[Row, ...], today: date) -> Iterator[str]:
    for row in rows:
        if isinstance(row.read_on, date) and today - row.read_on > timedelta(days=FACT_FRESH_DAYS):
            age = f"more than {FACT_FRESH_DAYS} days ago"
            yield f"{row}: read on {row.read_on}, {age}: read it again"


def main() -> int:
    report = lint(shipped_facts(), datetime.now(UTC).date())
    lines = [f"warning: {one}\n" for one in report.warnings]
    sys.stderr.writelines([*lines, *(f"error: {one}\n" for one in report.errors)])
    return 1 if report.errors else 0


if __name__ == "__main__":
    sys.exit(main())
