"""``entrenous gate status`` and ``gate audit``: figures, problems, and the audit log."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Annotated, Final

import typer

from entrenous.base.copies import join_names
from entrenous.base.files import files_accessible_to_others, translate_folder_errors
from entrenous.serving.host_checks import is_private
from entrenous.stop.audit import AuditHead, AuditRow, audit_rows, verify_audit_log
from entrenous.stop.commands.gate_bank import AsJsonOption, GateFolderOption
from entrenous.stop.gate_settings import SETTINGS_FILE, read_gate_settings
from entrenous.stop.index.file_index import index_condition, index_written_at
from entrenous.stop.nouns import GateFigures, ShadowOutcome
from entrenous.stop.platform import Platform
from entrenous.stop.store.gate_figures import (
    count_oldest_undecryptable_of_platform,
    count_platform_figures,
)
from entrenous.stop.store.open_gate import INDEX_FOLDER, open_existing, read_gate_http_settings
from entrenous.terminal.output import print_json, print_line, rfc3339_utc

NO_APPEAL_WARNING: Final = (
    "People whose uploads are refused get a case number but no link to appeal: set appeal_url in"
    " gate.toml."
)
SHADOW_MODE_NOTE: Final = (
    "This gate is in shadow mode: it lets every upload through, and records what it would stop."
)
_HOUR_S: Final = 3600


@dataclass(frozen=True, slots=True)
class _IndexFileState:
    """The index's file: "sound", "damaged" or "missing", and when it was written."""

    condition: str
    written_at: datetime | None


def add_commands(gate: typer.Typer) -> None:
    """Add this module's commands to the group ``entrenous gate``."""
    audit = typer.Typer(help="The log of every change.", no_args_is_help=True)
    audit.command("verify")(verify_log)
    audit.command("show")(print_audit_rows)
    gate.add_typer(audit, name="audit")
    gate.command("status")(print_gate_status)


def print_gate_status(data: GateFolderOption, as_json: AsJsonOption = False) -> None:
    """Count registrations and waiting work, and say what is wrong, if anything is."""
    file = _index_file_state(data)  # read this before opening the gate, which repairs the file
    with open_existing(data) as (platform, _):
        figures = count_platform_figures(platform, with_shadow=True)
        wrong = [
            *_figure_warnings(figures, file),
            *_missing_reviewers_warning(platform),
            *_low_disk_warning(platform),
        ]
        wrong += _undecryptable_warning(platform)
        wrong += [*_exposed_files_warnings(data), *_unencrypted_warning(data)]
        if not read_gate_http_settings(data).appeal_url:
            wrong.append(NO_APPEAL_WARNING)
        in_shadow = platform.limits.shadow
    if as_json:
        print_json({**_status_json(figures, file), "in_shadow": in_shadow, "wrong": wrong})
        return
    if in_shadow:
        print_line(SHADOW_MODE_NOTE)
    for line in (*_status_in_words(figures, file), *_shadow_in_words(figures)):
        print_line(line)
    for line in wrong or ["Nothing is wrong."]:
        print_line(line)


def _index_file_state(data: Path) -> _IndexFileState:
    folder, shards = data / INDEX_FOLDER, read_gate_settings(data).index_shards
    with translate_folder_errors(folder):
        condition = index_condition(folder, shards)
        try:
            return _IndexFileState(condition, index_written_at(folder, shards))
        except FileNotFoundError:  # this also happens while a gate changes its number of shards
            return _IndexFileState("missing", None)


def _figure_warnings(figures: GateFigures, file: _IndexFileState) -> Iterator[str]:
    if figures.is_overdue:
        waited = f"{_whole_hours(figures.oldest_wait)} hours"
        yield f"The oldest review has waited {waited}; look at it before 48 are over."
    if figures.due.slow_looks_skipped:
        skipped = figures.due.slow_looks_skipped
        yield (
            f"{skipped:,} slow looks were skipped in the last 24 hours: this gate has less room or"
            " time than its uploads need (docs/operate.md)."
        )
    if file.condition == "damaged":
        yield "The index's file is damaged. Nothing is lost: the gate rebuilds it."
    if file.condition == "missing" and figures.hashes:
        yield "The index has no file yet: a gate that starts in this folder creates it."


def _missing_reviewers_warning(platform: Platform) -> Iterator[str]:
    if platform.limits.confirmers > 1 and not platform.reviews.reviewers():
        yield (
            "Two people have to confirm, but there is only the operator, so nothing can be"
            " confirmed. Add a reviewer: entrenous gate reviewer add"
        )


def _low_disk_warning(platform: Platform) -> Iterator[str]:
    if not platform.reviews.has_room_for_bytes():
        yield (
            f"The disk has less than {platform.limits.free_mb_min:,} MB free (free_mb_min): held"
            " uploads are not kept for reviewers, and slow looks are skipped. Free some space."
        )


def _undecryptable_warning(platform: Platform) -> Iterator[str]:
    count = count_oldest_undecryptable_of_platform(platform)
    if count:
        yield (
            f"{count:,} of the uploads that have waited longest cannot be decrypted: their key is"
            " missing. Add its line to held.key, or to the file that held_key names; or look at the"
            " platform's own copies (docs/operate.md)."
        )


def _exposed_files_warnings(data: Path) -> Iterator[str]:
    """Warn of files that other accounts can read or write, such as held uploads and tokens.

    The settings file may be readable by others, unless it may contain the database's password.
    """
    if is_private(data):
        return
    is_plain = read_gate_settings(data).database is None
    files = [
        file
        for file in files_accessible_to_others(data)
        if not (is_plain and file == data / SETTINGS_FILE)
    ]
    if files:
        named = join_names([str(file.relative_to(data)) for file in files])
        yield f"Others may read or change {named}: chmod -R go= {data}"


def _unencrypted_warning(data: Path) -> Iterator[str]:
    """Warn if uploads are stored unencrypted.

    With PostgreSQL, which several gates may share, no key is created.
    """
    settings = read_gate_settings(data)
    if settings.database is not None and settings.held_key is None:
        yield (
            "Uploads that wait for a reviewer are stored unencrypted in PostgreSQL: name a file of"
            f" keys as held_key in {SETTINGS_FILE}, the same for all its gates (docs/operate.md)."
        )


def _status_in_words(figures: GateFigures, file: _IndexFileState) -> Iterator[str]:
    kinds: dict[str, list[str]] = defaultdict(list)
    for (kind, state), count in sorted(figures.claims.items()):
        kinds[kind].append(f"{count:,} {state}")
    for kind, states in kinds.items():
        yield f"Claims ({kind}): {', '.join(states)}."
    yield f"{figures.hashes:,} fingerprints."
    waits = (
        "" if figures.oldest is None else f", the oldest for {_whole_hours(figures.oldest_wait)} h"
    )
    yield f"{figures.waiting:,} reviews wait for a person{waits}."
    if figures.review_s is not None:
        yield f"Half of the decisions came within {figures.review_s / _HOUR_S:.1f} h."
    due = figures.due
    yield f"{due.slow_looks:,} slow looks and {due.look_backs:,} look backs are due."
    if file.written_at is not None:
        age = max(timedelta(), figures.at - file.written_at)
        yield f"The index's file is {file.condition}, written {_whole_hours(age)} h ago."


def _shadow_in_words(figures: GateFigures) -> Iterator[str]:
    """Yield, for each bank in shadow mode, how many uploads it would have stopped, by distance."""
    lines: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for cell, count in figures.shadow.items():
        lines[cell.bank, cell.would].append((cell.distance, count))
    for (bank, would), counts in sorted(lines.items()):
        total = sum(count for _, count in counts)
        each = ", ".join(f"{distance} bits: {count:,}" for distance, count in sorted(counts))
        yield f"In shadow, {bank} would have done this in 30 days: {would} {total:,} ({each})."


def _status_json(figures: GateFigures, file: _IndexFileState) -> dict[str, object]:
    age_s = None if file.written_at is None else (figures.at - file.written_at).total_seconds()
    return {
        "schema": "entrenous/gate-standing/1",
        "claims": [
            {"kind": kind, "state": state, "count": count}
            for (kind, state), count in sorted(figures.claims.items())
        ],
        "hashes": figures.hashes,
        "reviews": figures.waiting,
        "oldest_s": round(figures.oldest_wait.total_seconds()),
        "review_median_s": figures.review_s,
        "slow_looks": figures.due.slow_looks,
        "slow_looks_skipped": figures.due.slow_looks_skipped,
        "look_backs": figures.due.look_backs,
        "index_file": file.condition,
        "index_age_s": None if age_s is None else max(0, round(age_s)),
        "shadow": [_shadow_json(cell, count) for cell, count in sorted(figures.shadow.items())],
    }


def _shadow_json(cell: ShadowOutcome, count: int) -> dict[str, object]:
    return {
        "bank": cell.bank,
        "would": cell.would.value,
        "distance": cell.distance,
        "count": count,
    }


def _whole_hours(time: timedelta) -> int:
    return int(time.total_seconds() // _HOUR_S)


_PRINTED_ROWS_MAX: Final = 1000  # one call prints at most this many rows


def verify_log(
    data: GateFolderOption,
    head: Annotated[
        str | None,
        typer.Option(metavar="HEAD", help="A head printed earlier: it must still be in the log."),
    ] = None,
    as_json: AsJsonOption = False,
) -> None:
    """Check the whole log: a row that was changed, dropped or moved is found."""
    noted = None if head is None else AuditHead.parse(head)
    with open_existing(data) as (platform, _):
        found = verify_audit_log(platform.bank, noted)
    if as_json:
        print_json({"schema": "entrenous/audit/1", "rows": found.number, "head": str(found)})
        return
    print_line(f"The log is intact; it has {found.number} rows. Note its head elsewhere:")
    print_line(f"  {found}")


def print_audit_rows(
    data: GateFolderOption,
    of: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Only rows about this case, claim, bank or reviewer."),
    ] = None,
    after: Annotated[
        int, typer.Option(min=0, metavar="N", help="Only rows after this number.")
    ] = 0,
    as_json: AsJsonOption = False,
) -> None:
    """Print up to 1,000 rows of the log: what happened, to what, and by whom."""
    with open_existing(data) as (platform, _):
        wanted = (row for row in audit_rows(platform.bank, after) if of in (None, row.of))
        rows = list(islice(wanted, _PRINTED_ROWS_MAX + 1))
    shown, more = rows[:_PRINTED_ROWS_MAX], len(rows) > _PRINTED_ROWS_MAX
    if as_json:
        documents = [_audit_as_json(row) for row in shown]
        print_json({"schema": "entrenous/audit-rows/1", "rows": documents, "more": more})
        return
    for row in shown:
        details = "".join(f" {name}={value}" for name, value in sorted(row.details.items()))
        print_line(f"{row.number} {rfc3339_utc(row.at)} {row.what}: {row.of}{details}")
    if more:
        print_line(f"There are more: --after {shown[-1].number}")


def _audit_as_json(row: AuditRow) -> dict[str, object]:
    document = {"number": row.number, "at": rfc3339_utc(row.at), "what": row.what, "of": row.of}
    return {**document, "details": dict(row.details), "hash": row.hash.hex()}
