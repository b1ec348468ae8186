"""Check the shipped facts: sources, dates, addresses, host names, and references to other rows.

``python -m tests.respond.facts_lint``, a part of ``make check``, prints an error for each broken
rule, and a warning for each fact that was read more than 180 days ago. It exits with 1 if there
is an error.
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

#: Files with our own texts, which state no facts: their paths begin with one of these words.
OWN_TEXT_PATH_PREFIXES: Final = ("wordings", "notes")
#: Tables with our own texts, or with IDs of facts that have their sources in other tables.
OWN_TEXT_TABLES: Final = frozenset({"wording", "ladder", "question", "police"})
#: Allowed addresses without TLS, each with the reason.
HTTP_REASONS: Final[Mapping[str, str]] = {
    "http://timestamp.identrust.com": "RFC 3161: one hash leaves, and the answer is signed",
    "http://timestamp.digicert.com": "RFC 3161: one hash leaves, and the answer is signed",
    "http://tongdai111.vn": "the only address that was read for this line",
}
#: Columns that say where a fact was read. Addresses in these columns may be without TLS.
SOURCE_COLUMNS: Final = ("source", "source2", "sources")
ADDRESS_COLUMNS: Final = ("report_url", "tida_process_url", "dsa_contact", "web", "url")
POINTER_COLUMNS: Final[Mapping[str, str]] = {  # for each column, the table of its IDs
    "route": "route",
    "routes": "route",
    "version_of": "route",
    "platform": "platform",
    "platforms": "platform",
    "contact": "contact",
    "contacts": "contact",
}
EARLIEST_DATE: Final = date(1900, 1, 1)  # for all columns but read_on
EARLIEST_READING: Final = date(2025, 1, 1)  # for read_on
LATEST_DATE: Final = date(2100, 1, 1)

FilesByPath = Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table of facts.

    ``read_on`` is the row's date, or the file's date if the row has none. ``sources`` has the
    sources of the row and of the file.
    """

    file: str
    table: str
    id: str
    columns: Mapping[str, Any]
    read_on: object
    sources: tuple[object, ...]

    def __str__(self) -> str:
        return f"{self.file}: [{self.table}.{self.id}]"


@dataclass(frozen=True, slots=True)
class LintReport:
    """Errors, which fail the check, and warnings, which do not."""

    errors: tuple[str, ...]
    warnings: tuple[str, ...]


def shipped_facts() -> FilesByPath:
    """Return the contents of each TOML file in respond/facts/, by path."""
    return dict(_files_below(resources.files("entrenous.respond").joinpath("facts"), ""))


def lint_facts(files: FilesByPath, today: date) -> LintReport:
    """Check the tables of facts in ``files``, which holds the contents of each file by path."""
    try:
        tables = {name: tomllib.loads(data.decode()) for name, data in files.items()}
    except ValueError as why:
        return LintReport((f"no TOML: {why}",), ())
    rows = tuple(chain.from_iterable(_table_rows(name, table) for name, table in tables.items()))
    ids_by_table = _ids_by_table(rows)
    errors = chain(
        chain.from_iterable(_unsourced_value_errors(name, table) for name, table in tables.items()),
        chain.from_iterable(rule(row) for row in rows for rule in _ROW_RULES),
        chain.from_iterable(_date_errors(row, today) for row in rows),
        chain.from_iterable(_pointer_errors(row, ids_by_table) for row in rows),
        chain.from_iterable(
            _police_errors(name, table, ids_by_table) for name, table in tables.items()
        ),
        _duplicate_id_errors(rows),
        _host_errors(rows),
    )
    return LintReport(tuple(errors), tuple(_stale_warnings(rows, today)))


def _files_below(folder: Traversable, under: str) -> Iterator[tuple[str, bytes]]:
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        path = f"{under}{entry.name}"
        if entry.is_dir():
            yield from _files_below(entry, f"{path}/")
        elif path.endswith(".toml"):
            yield path, entry.read_bytes()


def _is_own_text(file: str, table: str) -> bool:
    return file.startswith(OWN_TEXT_PATH_PREFIXES) or table in OWN_TEXT_TABLES


def _table_rows(file: str, document: Mapping[str, Any]) -> Iterator[Row]:
    for table, rows in document.items():
        if not isinstance(rows, dict) or file.startswith(OWN_TEXT_PATH_PREFIXES):
            continue
        for id_, columns in rows.items():
            if isinstance(columns, dict):
                read_on = columns.get("read_on", document.get("read_on"))
                sources = (*_source_values(columns), *_source_values(document))
                yield Row(file, table, id_, columns, read_on, sources)


def _source_values(columns: Mapping[str, Any]) -> Iterator[object]:
    for name in (*SOURCE_COLUMNS, "web"):
        value = columns.get(name, [])
        yield from value if isinstance(value, list) else [value]


def _unsourced_value_errors(file: str, document: Mapping[str, Any]) -> Iterator[str]:
    """Yield an error for each table of single values if the file lacks a source or a date."""
    for table, rows in document.items():
        plain = isinstance(rows, dict) and any(not isinstance(one, dict) for one in rows.values())
        sourced = any(_source_values(document)) and isinstance(document.get("read_on"), date)
        if plain and not sourced and not _is_own_text(file, table):
            yield f"{file}: [{table}]: a fact without source, or without the day it was read"


def _source_errors(row: Row) -> Iterator[str]:
    if row.table in OWN_TEXT_TABLES:
        return
    texts = [one for one in row.sources if isinstance(one, str)]
    if not any(_SOURCE_PATTERN.search(one) for one in texts):
        yield f"{row}: no source"
    if not isinstance(row.read_on, date):
        yield f"{row}: not a word about the day it was read"
    if "verified" in row.columns and not isinstance(row.columns["verified"], bool):
        yield f"{row}: verified is true or false"


#: A web address, a file in a public repository ("owner/name path"), or a file in docs/spec.
_SOURCE_PATTERN: Final = re.compile(r"https?://|^[\w.-]+/[\w.-]+ \S|^docs/spec/\w+\.md")


def _address_errors(row: Row) -> Iterator[str]:
    """Yield an error for each invalid address in columns with addresses or in sources."""
    for column in ADDRESS_COLUMNS:
        yield from _errors_in_address(row, column, row.columns.get(column, ""), HTTP_REASONS)
    for source in row.sources:
        if isinstance(source, str) and "://" in source:
            yield from _errors_in_address(row, "source", source.split()[0].strip(",;"), None)


def _errors_in_address(
    row: Row, column: str, text: object, http_reasons: Mapping[str, str] | None
) -> Iterator[str]:
    if not isinstance(text, str) or "://" not in text:
        return
    parts = urlsplit(text)
    if "." not in (parts.hostname or "") or parts.scheme not in ("http", "https"):
        yield f"{row}: {column} is no web address: {text}"
    elif parts.scheme == "http" and http_reasons is not None and text not in http_reasons:
        yield f"{row}: {column} is without TLS, and no reason is given: {text}"


def _internal_name_errors(row: Row) -> Iterator[str]:
    """Yield an error for text that names an internal file or table, which users do not have."""
    for column, value in row.columns.items():
        if column != "verified_by" and (found := _FILE_OR_TABLE_NAME.search(str(value))):
            yield f"{row}: {column} names a file or a table of ours: {found[0]}"


_FILE_OR_TABLE_NAME: Final = re.compile(r"\w+\.toml|\bplatform\.[a-z]\w+|\broute\.[a-z]\w+")
_ROW_RULES: Final = (_source_errors, _address_errors, _internal_name_errors)


def _date_errors(row: Row, today: date) -> Iterator[str]:
    if isinstance(row.read_on, date) and not EARLIEST_READING <= row.read_on <= today:
        yield f"{row}: read on {row.read_on}, which cannot be"
    for column, value in row.columns.items():
        if isinstance(value, date) and not EARLIEST_DATE <= value <= LATEST_DATE:
            yield f"{row}: {column} is {value}, which cannot be"
    begins, ends = row.columns.get("in_force_from"), row.columns.get("in_force_until")
    if isinstance(begins, date) and isinstance(ends, date) and ends < begins:
        yield f"{row}: ends on {ends}, before it begins"


def _ids_by_table(rows: tuple[Row, ...]) -> Mapping[str, frozenset[str]]:
    return {
        table: frozenset(row.id for row in rows if row.table == table)
        for table in ("route", "platform", "contact")
    }


def _pointer_errors(row: Row, ids_by_table: Mapping[str, frozenset[str]]) -> Iterator[str]:
    for column, table in POINTER_COLUMNS.items():
        value = row.columns.get(column, [])
        for id_ in value if isinstance(value, list) else [value]:
            if isinstance(id_, str) and id_ not in ids_by_table[table]:
                yield f"{row}: {column} names {id_}, and there is none"
    for text in map(str, row.columns.values()):
        for id_ in re.findall(r"entrenous case platform ([a-z]\w*)", text):
            if id_ not in ids_by_table["platform"]:
                yield f"{row}: tells to type the platform {id_}, and there is none"


def _police_errors(
    file: str, document: Mapping[str, Any], ids_by_table: Mapping[str, frozenset[str]]
) -> Iterator[str]:
    """Yield an error for each row of ``[police]`` that names no existing route."""
    rows = document.get("police")
    for place, text in rows.items() if isinstance(rows, dict) else ():
        if not ids_by_table["route"] & set(re.findall(r"[a-z][a-z0-9-]+", str(text))):
            yield f"{file}: [police] {place}: names no route that is there"


def _duplicate_id_errors(rows: tuple[Row, ...]) -> Iterator[str]:
    file_of_id: dict[tuple[str, str], str] = {}
    for row in rows:
        if row.table in ("route", "platform", "contact"):
            key = (row.table, row.id)
            if key in file_of_id:
                yield f"{row}: also in {file_of_id[key]}"
            file_of_id[key] = row.file


def _host_errors(rows: tuple[Row, ...]) -> Iterator[str]:
    owner_of_host: dict[str, str] = {}
    for row in rows:
        for host in row.columns.get("hosts", []) if row.table == "platform" else ():
            if host in owner_of_host:
                yield f"{row}: {host} also belongs to {owner_of_host[host]}"
            if not re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", host):
                yield f"{row}: {host} is no host name in ASCII"
            owner_of_host[host] = row.id


def _stale_warnings(rows: tuple[Row, ...], today: date) -> Iterator[str]:
    for row in rows:
        if isinstance(row.read_on, date) and today - row.read_on > timedelta(days=FACT_FRESH_DAYS):
            age = f"more than {FACT_FRESH_DAYS} days ago"
            yield f"{row}: read on {row.read_on}, {age}: read it again"


def main() -> int:
    report = lint_facts(shipped_facts(), datetime.now(UTC).date())
    lines = [f"warning: {one}\n" for one in report.warnings]
    sys.stderr.writelines([*lines, *(f"error: {one}\n" for one in report.errors)])
    return 1 if report.errors else 0


if __name__ == "__main__":
    sys.exit(main())
