"""``entrenous gate audit ...``: does the gate's log hold?"""

from itertools import islice
from typing import Annotated, Final

import typer

from entrenous.faces.cli.output import put_json, say, when
from entrenous.faces.cli.stop.bank import AsJson, Data
from entrenous.model.audit import AuditRow, Head
from entrenous.stop.audit import rows_of, verify_log
from entrenous.wiring.platform import open_existing

_ROWS_MAX: Final = 1000  # at once


def join(gate: typer.Typer) -> None:
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
        said = [_as_json(row) for row in shown]
        put_json({"schema": "entrenous/audit-rows/1", "rows": said, "more": more})
        return
    for row in shown:
        details = "".join(f" {name}={value}" for name, value in sorted(row.details.items()))
        say(f"{row.number} {when(row.at)} {row.what}: {row.of}{details}")
    if more:
        say(f"There are more: --after {shown[-1].number}")


def _as_json(row: AuditRow) -> dict[str, object]:
    said = {"number": row.number, "at": when(row.at), "what": row.what, "of": row.of}
    return {**said, "details": dict(row.details), "hash": row.hash.hex()}
