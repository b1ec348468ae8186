"""``entrenous evidence ...``: trusted time, and looking again."""

from pathlib import Path
from typing import Annotated

import typer

from entrenous.faces.cli.device.opened import device_of, session_of
from entrenous.faces.cli.output import put_json, read_file, say, when
from entrenous.faces.cli.respond.export import export
from entrenous.model.evidence import Stamp
from entrenous.respond.evidence import stamp_evidence, verify_case
from entrenous.wiring.outside import (
    kept_authorities,
    root_fingerprints,
    timestamp_authority,
    trusted_authorities,
)

Json = Annotated[bool, typer.Option("--json", help="One JSON object.")]


def join(app: typer.Typer) -> None:
    """Add this module's commands."""
    evidence = typer.Typer(help="Evidence: trusted time, and checks.", no_args_is_help=True)
    evidence.command("stamp")(stamp)
    evidence.command("verify")(verify)
    evidence.command("export")(export)
    app.add_typer(evidence, name="evidence")


def stamp(
    context: typer.Context,
    name: str,
    authority: Annotated[
        str, typer.Option(metavar="URL", help="Address of an RFC 3161 stamp authority.")
    ],
    ca: Annotated[
        Path, typer.Option(metavar="FILE", help="Certificates that you trust for it, PEM.")
    ],
    as_json: Json = False,
) -> None:
    """Have a case's evidence stamped; the authority sees one hash, never the evidence."""
    trusted = read_file(ca)
    proxy = session_of(context).settings.proxy
    with device_of(context) as device, timestamp_authority(authority, trusted, proxy) as stamper:
        case = stamp_evidence(name, stamper, device)
    newest = case.stamps[-1]
    if as_json:
        put_json(
            {
                "schema": "entrenous/stamp/1",
                "case": case.name,
                "at": when(newest.at),
                "authority": newest.authority_url,
                "items": len(case.evidence),
            }
        )
        return
    say(f"Stamped at {newest.at:%d %B %Y, %H:%M:%S} UTC by {newest.authority_url}.")
    say("This proves that the evidence existed by then, not that what it shows is true.")


def verify(
    context: typer.Context,
    name: str,
    ca: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The authority's certificates as you have them, PEM."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check a case again: its custody chain, every item, every stamp."""
    given = None if ca is None else read_file(ca)
    checker = kept_authorities() if given is None else trusted_authorities(given)
    with device_of(context) as device:
        case = verify_case(name, device, checker)
    if as_json:
        put_json(
            {
                "schema": "entrenous/evidence-check/1",
                "case": case.name,
                "items": len(case.evidence),
                "stamps": len(case.stamps),
                "links": case.links,
                "ca": "kept" if given is None else "given",
                "stamped": [_proven(stamp, given) for stamp in case.stamps],
            }
        )
        return
    say(
        f"{case.name}: {case.links} custody entries, {len(case.evidence)} items and "
        f"{len(case.stamps)} stamps hold."
    )
    for stamp in case.stamps:
        say(f"  Stamped at {stamp.at:%d %B %Y, %H:%M:%S} UTC by {stamp.authority_url}.")
        for root in _roots(stamp, given):
            say(f"    Proven with the certificate whose SHA-256 is {root.hex(':').upper()}")
    if case.stamps and given is None:
        say(
            "  These certificates are the ones kept in the case. Compare them with what the "
            f"authority publishes, or check with its own: entrenous evidence verify {case.name} "
            "--ca FILE"
        )


def _proven(stamp: Stamp, given: bytes | None) -> dict[str, object]:
    return {
        "at": when(stamp.at),
        "authority": stamp.authority_url,
        "ca_sha256": [root.hex() for root in _roots(stamp, given)],
    }


def _roots(stamp: Stamp, given: bytes | None) -> tuple[bytes, ...]:
    return root_fingerprints(stamp.authorities if given is None else given)
