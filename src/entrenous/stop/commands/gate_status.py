"""``entrenous gate status`` and ``gate audit``: what needs attention, and the audit log."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Annotated, Final

import typer

from entrenous.base.copies import several
from entrenous.base.files import folder_errors, open_to_others
from entrenous.serving.host_checks import is_private
from entrenous.stop.audit import rows_of, verify_log
from entrenous.stop.commands.gate_bank import AsJson, Data
from entrenous.stop.gate_settings import FILE, gate_settings
from entrenous.stop.index.file_index import condition_of, written_at
from entrenous.stop.nouns import AuditRow, GateFigures, Head, ShadowCell
from entrenous.stop.platform import Platform
from entrenous.stop.store.gate_figures import figures_of, shut_away_of
from entrenous.stop.store.open_gate import INDEX, front_of, open_existing
from entrenous.terminal.output import put_json, rfc3339_utc, say

NO_APPEAL: Final = (
    "People whose uploads are refused get a case number and no link to ask for a look: set"
    " appeal_url in gate.toml."
)
IN_SHADOW: Final = (
    "This gate is in shadow: it lets every upload through, and lists what it would have stopped."
)
_HOUR_S: Final = 3600


@dataclass(frozen=True, slots=True)
class _IndexFile:
    """How the index's file is: "sound", "damaged" or "missing", and since when."""

    condition: str
    written_at: datetime | None


def join(gate: typer.Typer) -> None:
    """Add this module's command below ``gate``."""
    join_audit(gate)
    gate.command("status")(status)


def status(data: Data, as_json: AsJson = False) -> None:
    """Say how many claims there are, what waits, and what is wrong, if anything is."""
    file = _index_file(data)  # before anything mends it
    with open_existing(data) as (platform, _):
        standing = figures_of(platform, with_shadow=True)
        wrong = [*_wrong(standing, file), *_too_few(platform), *_full(platform)]
        wrong += _shut_away(platform)
        wrong += [*_readable(data), *_unsealed(data)]
        if not front_of(data).appeal_url:
            wrong.append(NO_APPEAL)
        in_shadow = platform.limits.shadow
    if as_json:
        put_json({**_as_json(standing, file), "in_shadow": in_shadow, "wrong": wrong})
        return
    if in_shadow:
        say(IN_SHADOW)
    for line in (*_in_words(standing, file), *_shadow_in_words(standing)):
        say(line)
    for line in wrong or ["Nothing is wrong."]:
        say(line)


def _index_file(data: Path) -> _IndexFile:
    folder, shards = data / INDEX, gate_settings(data).index_shards
    with folder_errors(folder):
        condition = condition_of(folder, shards)
        try:
            return _IndexFile(condition, written_at(folder, shards))
        except FileNotFoundError:  # also while a gate divides it otherwise
            return _IndexFile("missing", None)


def _wrong(standing: GateFigures, file: _IndexFile) -> Iterator[str]:
    if standing.is_late:
        waited = f"{_hours(standing.oldest_wait)} hours"
        yield f"The oldest review has waited {waited}; look at it before 48 are over."
    if standing.due.slow_looks_skipped:
        skipped = standing.due.slow_looks_skipped
        yield (
            f"{skipped:,} slow looks were skipped in the last 24 hours: this gate has less room or"
            " time than its uploads need (docs/operate.md)."
        )
    if file.condition == "damaged":
        yield "The index's file is damaged. Nothing is lost: the gate makes it anew."
    if file.condition == "missing" and standing.hashes:
        yield "The index has no file yet: a gate that starts on this folder makes it."


def _too_few(platform: Platform) -> Iterator[str]:
    """The operator is one person."""
    if platform.limits.confirmers > 1 and not platform.reviews.reviewers():
        yield (
            "Two persons have to confirm, and only the operator is known, so nothing can be:"
            " entrenous gate reviewer add"
        )


def _full(platform: Platform) -> Iterator[str]:
    if not platform.reviews.keeps_bytes():
        yield (
            f"Less than {platform.limits.free_mb_min:,} MB are free on the disk (free_mb_min): held"
            " uploads are not kept for reviewers, and slow looks are skipped. Make room."
        )


def _shut_away(platform: Platform) -> Iterator[str]:
    count = shut_away_of(platform)
    if count:
        yield (
            f"{count:,} of the pictures that have waited longest cannot be opened: the key that"
            " sealed them is gone. Add its line to held.key, or to the file that held_key names; or"
            " look at the platform's own copies (docs/operate.md)."
        )


def _readable(data: Path) -> Iterator[str]:
    """What others may read or write in a folder that they may enter: held pictures, tokens. Not
    the operator's own file of settings, unless the database's password may be in it.
    """
    if is_private(data):
        return
    is_plain = gate_settings(data).database is None
    files = [file for file in open_to_others(data) if not (is_plain and file == data / FILE)]
    if files:
        named = several([str(file.relative_to(data)) for file in files])
        yield f"Others may read or change {named}: chmod -R go= {data}"


def _unsealed(data: Path) -> Iterator[str]:
    """Several gates on one PostgreSQL need the same key, so none makes one for itself."""
    settings = gate_settings(data)
    if settings.database is not None and settings.held_key is None:
        yield (
            "Pictures that wait for a person lie in PostgreSQL as they came: name a file of keys as"
            f" held_key in {FILE}, the same for all its gates (docs/operate.md)."
        )


def _in_words(standing: GateFigures, file: _IndexFile) -> Iterator[str]:
    kinds: dict[str, list[str]] = defaultdict(list)
    for (kind, state), count in sorted(standing.claims.items()):
        kinds[kind].append(f"{count:,} {state}")
    for kind, states in kinds.items():
        yield f"Claims ({kind}): {', '.join(states)}."
    yield f"{standing.hashes:,} fingerprints."
    waits = "" if standing.oldest is None else f", the oldest for {_hours(standing.oldest_wait)} h"
    yield f"{standing.waiting:,} reviews wait for a person{waits}."
    if standing.review_s is not None:
        yield f"Half of the decisions came within {standing.review_s / _HOUR_S:.1f} h."
    due = standing.due
    yield f"{due.slow_looks:,} slow looks and {due.look_backs:,} look backs are due."
    if file.written_at is not None:
        age = max(timedelta(), standing.at - file.written_at)
        yield f"The index's file is {file.condition}, written {_hours(age)} h ago."


def _shadow_in_words(standing: GateFigures) -> Iterator[str]:
    """One line for each bank in shadow, and what it would have done: how many at each distance."""
    lines: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for cell, count in standing.shadow.items():
        lines[cell.bank, cell.would].append((cell.distance, count))
    for (bank, would), counts in sorted(lines.items()):
        total = sum(count for _, count in counts)
        each = ", ".join(f"{distance} bits: {count:,}" for distance, count in sorted(counts))
        yield f"In shadow, {bank} would have done this in 30 days: {would} {total:,} ({each})."


def _as_json(standing: GateFigures, file: _IndexFile) -> dict[str, object]:
    age_s = None if file.written_at is None else (standing.at - file.written_at).total_seconds()
    return {
        "schema": "entrenous/gate-standing/1",
        "claims": [
            {"kind": kind, "state": state, "count": count}
            for (kind, state), count in sorted(standing.claims.items())
        ],
        "hashes": standing.hashes,
        "reviews": standing.waiting,
        "oldest_s": round(standing.oldest_wait.total_seconds()),
        "review_median_s": standing.review_s,
        "slow_looks": standing.due.slow_looks,
        "slow_looks_skipped": standing.due.slow_looks_skipped,
        "look_backs": standing.due.look_backs,
        "index_file": file.condition,
        "index_age_s": None if age_s is None else max(0, round(age_s)),
        "shadow": [_cell(cell, count) for cell, count in sorted(standing.shadow.items())],
    }


def _cell(cell: ShadowCell, count: int) -> dict[str, object]:
    return {
        "bank": cell.bank,
        "would": cell.would.value,
        "distance": cell.distance,
        "count": count,
    }


def _hours(time: timedelta) -> int:
    return int(time.total_seconds() // _HOUR_S)


_ROWS_MAX: Final = 1000  # at once


def join_audit(gate: typer.Typer) -> None:
    """Add this module's commands below ``gate``."""
    audit = typer.Typer(help="The log of every change.", no_args_is_help=True)
    audit.command("verify")(verify)
    audit.command("show")(show)
    gate.add_typer(audit, name="audit")


def verify(
    data: Data,
    head: Annotated[
        str | None,
        typer.Option(metavar="HEAD", help="As it was printed earlier: it must still be there."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read the log from its start: a row that was changed, dropped or moved is found."""
    noted = None if head is None else Head.read(head)
    with open_existing(data) as (platform, _):
        found = verify_log(platform.bank, noted)
    if as_json:
        put_json({"schema": "entrenous/audit/1", "rows": found.number, "head": str(found)})
        return
    say(f"The log holds; it has {found.number} rows. Note its head elsewhere:")
    say(f"  {found}")


def show(
    data: Data,
    of: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of one case, claim, bank or reviewer.")
    ] = None,
    after: Annotated[int, typer.Option(min=0, metavar="N", help="Rows after this number.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Print rows of the log, at most 1,000: what happened, to what, and by whom."""
    with open_existing(data) as (platform, _):
        wanted = (row for row in rows_of(platform.bank, after) if of in (None, row.of))
        rows = list(islice(wanted, _ROWS_MAX + 1))
    shown, more = rows[:_ROWS_MAX], len(rows) > _ROWS_MAX
    if as_json:
        said = [_audit_as_json(row) for row in shown]
        put_json({"schema": "entrenous/audit-rows/1", "rows": said, "more": more})
        return
    for row in shown:
        details = "".join(f" {name}={value}" for name, value in sorted(row.details.items()))
        say(f"{row.number} {rfc3339_utc(row.at)} {row.what}: {row.of}{details}")
    if more:
        say(f"There are more: --after {shown[-1].number}")


def _audit_as_json(row: AuditRow) -> dict[str, object]:
    said = {"number": row.number, "at": rfc3339_utc(row.at), "what": row.what, "of": row.of}
    return {**said, "details": dict(row.details), "hash": row.hash.hex()}
