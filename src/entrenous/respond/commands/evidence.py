"""``entrenous evidence ...``: capture a page, have evidence stamped, verify it, and export an item
with its proofs.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from entrenous.base.errors import EntrenousError, Refused, Unproven
from entrenous.base.language import day_in_words, translated
from entrenous.crypto.rfc3161 import root_certificate_fingerprints
from entrenous.device.commands import opened_device
from entrenous.device.device import Device
from entrenous.respond.case_file import find_open_case
from entrenous.respond.client.stamp_authority import (
    open_known_authorities,
    open_timestamp_authority,
    verify_stamp,
)
from entrenous.respond.commands.case_view import print_case_or_json
from entrenous.respond.commands.packs import check, pack
from entrenous.respond.commands.watch import obtain_watching_agreement
from entrenous.respond.evidence import (
    WHAT_STAMP_PROVES,
    ExportedItem,
    StampPostponed,
    cases_to_stamp,
    explain_how_to_check_stamp,
    export_item,
    exported_files,
    stamp_evidence_or_postpone,
    verification_in_words,
    verify_case,
)
from entrenous.respond.nouns import Case, Stamp
from entrenous.respond.open_case import DEFAULT_CAPTURE_PURPOSE
from entrenous.respond.stamp_authorities import (
    certificates_by_sha256,
    read_certificate_bundle,
    stored_roots_trust_text,
)
from entrenous.terminal.output import (
    hint,
    join_wrapped_lines,
    print_json,
    print_line,
    rfc3339_utc,
)
from entrenous.terminal.output_files import FileGroup, read_file
from entrenous.terminal.session import session_of
from entrenous.terminal.typed_input import STDIN_OPTION_ADVICE, JsonFlag, read_typed_line


def add_commands(app: typer.Typer) -> None:
    evidence = typer.Typer(
        help="Evidence: stamps of trusted time, and checks.", no_args_is_help=True
    )
    evidence.command("stamp")(stamp)
    evidence.command("verify")(verify)
    evidence.command("export")(export)
    evidence.command("capture")(capture)
    evidence.command("pack")(pack)
    evidence.command("check")(check)
    app.add_typer(evidence, name="evidence")


def capture(
    context: typer.Context,
    name: str,
    sighting: Annotated[
        int,
        typer.Option(metavar="NUMBER", help="The number of the sighting whose page is captured."),
    ],
    why: Annotated[
        str,
        typer.Option(
            metavar="-|TEXT",
            help=f"The purpose, which is stored in the capture. {STDIN_OPTION_ADVICE}",
        ),
    ] = DEFAULT_CAPTURE_PURPOSE,
    yes: Annotated[
        bool, typer.Option("--yes", help="You agree to what the site sees, and are not asked.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Capture a page as evidence: what the site sent, its certificate and the time."""
    from entrenous.respond.capture.capture_page import (  # noqa: PLC0415 -- loads warcio
        CaptureEnvironment,
        capture_page,
    )
    from entrenous.respond.client.public_web import PublicWeb  # noqa: PLC0415 -- loads httpx

    why = read_typed_line(why, translated("What for"), context)
    proxy = session_of(context).settings.proxy
    by_proxy = proxy is not None
    with opened_device(context) as device:
        # raises if somebody was under 18, before anything is requested
        find_open_case(name, device)
        obtain_watching_agreement(device, by_proxy=by_proxy, yes=yes)
        web = PublicWeb(proxy, records=True)
        environment = CaptureEnvironment(
            web, time.monotonic, time.sleep, _local_offset(device), by_proxy
        )
        case = capture_page(name, sighting, why, environment, device)
        print_case_or_json(case, device, as_json=as_json)


def _local_offset(device: Device) -> timedelta:
    return device.clock.now().astimezone().utcoffset() or timedelta(0)


def stamp(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(help="The case; all that wait for a stamp if left out.")
    ] = None,
    authority: Annotated[
        str | None,
        typer.Option(metavar="URL", help="An RFC 3161 stamp authority that you choose."),
    ] = None,
    ca: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The certificates that you trust for this authority, in PEM."
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Have a case's evidence stamped; the authority sees one hash, never the evidence.

    Public authorities are asked in turn, unless you name one. If none of them answers, nothing is
    lost: the case is noted as waiting for a stamp. Run this command again when you are online;
    without the name of a case, it has all waiting cases stamped.
    """
    if (authority is None) != (ca is None) or (name is None and authority is not None):
        raise typer.BadParameter(
            translated("give --authority URL and --ca FILE together, and the name of a case")
        )
    stamped, problems = list[Case](), list[EntrenousError]()

    def show_stamped(case: Case) -> None:
        stamped.append(case)
        if not as_json:
            _print_newest_stamp(case)

    with _open_stamp_authority(context, authority, ca) as stamper, opened_device(context) as device:
        if name is None:
            problems = _stamp_waiting_cases(stamper, device, show_stamped)
        else:
            show_stamped(stamp_evidence_or_postpone(name, stamper, device))
    if as_json:
        shown = [_newest_stamp_json(case) for case in stamped]
        print_json(shown[0] if name else {"schema": "entrenous/stamps/1", "stamped": shown})
    elif not stamped and not problems:
        print_line(
            translated("No case waits for a stamp. To stamp one: entrenous evidence stamp NAME")
        )
    _raise_first(problems)


def _stamp_waiting_cases(
    stamper: Callable[[bytes], Stamp], device: Device, show_stamped: Callable[[Case], None]
) -> list[EntrenousError]:
    """Have all waiting cases stamped, and return why some of them got no stamp.

    A case that cannot be stamped does not keep the others from being stamped; but if no authority
    issues a stamp, the others are not tried.
    """
    problems = list[EntrenousError]()
    for name in cases_to_stamp(device):
        try:
            show_stamped(stamp_evidence_or_postpone(name, stamper, device))
        except (Unproven, Refused) as problem:
            problems.append(problem)
        except StampPostponed as problem:
            return [*problems, problem]
    return problems


def _raise_first(problems: list[EntrenousError]) -> None:
    """Raise the first problem, if there is one, after printing the others."""
    for problem in problems[1:]:
        hint(join_wrapped_lines(str(problem)))
    if problems:
        raise problems[0]


@contextmanager
def _open_stamp_authority(
    context: typer.Context, authority: str | None, ca: Path | None
) -> Iterator[Callable[[bytes], Stamp]]:
    settings = session_of(context).settings
    if authority is None or ca is None:
        with open_known_authorities(settings) as ask:
            yield ask
        return
    with open_timestamp_authority(authority, read_file(ca), settings.proxy) as chosen:
        yield chosen.stamp


def _newest_stamp_json(case: Case) -> dict[str, object]:
    newest = case.stamps[-1]
    return {
        "schema": "entrenous/stamp/1",
        "case": case.name,
        "at": rfc3339_utc(newest.at),
        "authority": newest.authority_url,
        "items": len(case.evidence),
    }


def _print_newest_stamp(case: Case) -> None:
    newest = case.stamps[-1]
    at = _format_time_with_seconds(newest.at)
    print_line(
        translated("{name}: stamped at {at} by {authority_url}.").format(
            name=case.name, at=at, authority_url=newest.authority_url
        )
    )
    print_line(translated(WHAT_STAMP_PROVES))


def _format_time_with_seconds(at: datetime) -> str:
    return f"{day_in_words(at)}, {at:%H:%M:%S} UTC"


def verify(
    context: typer.Context,
    name: str,
    ca: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The certificates that you trust for the authority, in PEM."
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Check a case again: its custody chain, every item, every stamp."""
    given_ca = None if ca is None else read_file(ca)
    with opened_device(context) as device:
        case = verify_case(name, device, partial(verify_stamp, authorities=given_ca))
    bundled = certificates_by_sha256(read_certificate_bundle(session_of(context).settings))
    if as_json:
        print_json(
            {
                "schema": "entrenous/evidence-check/1",
                "case": case.name,
                "items": len(case.evidence),
                "stamps": len(case.stamps),
                "links": case.links,
                "ca": "kept" if given_ca is None else "given",
                "stamped": [
                    _stamp_json_with_roots(stamp, given_ca, bundled) for stamp in case.stamps
                ],
            }
        )
        return
    print_line(f"{case.name}:")
    for line in verification_in_words(case):
        print_line(f"  {line}")
    for stamp in case.stamps:
        at = _format_time_with_seconds(stamp.at)
        print_line(
            "  "
            + translated("Stamped at {at} by {authority_url}.").format(
                at=at, authority_url=stamp.authority_url
            )
        )
        for root in _trusted_root_fingerprints(stamp, given_ca):
            sha256 = root.hex(":").upper()
            print_line(
                "    "
                + translated("Proven with the certificate whose SHA-256 is {sha256}").format(
                    sha256=sha256
                )
            )
    if case.stamps and given_ca is None:
        roots = (root for one in case.stamps for root in _trusted_root_fingerprints(one, None))
        print_line(f"  {stored_roots_trust_text(case.name, roots, session_of(context).settings)}")


def _stamp_json_with_roots(
    stamp: Stamp, given_ca: bytes | None, bundled: Mapping[str, bytes]
) -> dict[str, object]:
    roots = [root.hex() for root in _trusted_root_fingerprints(stamp, given_ca)]
    return {
        "at": rfc3339_utc(stamp.at),
        "authority": stamp.authority_url,
        "ca_sha256": roots,
        "in_bundle": all(root in bundled for root in roots),
    }


def _trusted_root_fingerprints(stamp: Stamp, given_ca: bytes | None) -> tuple[bytes, ...]:
    return root_certificate_fingerprints(stamp.authorities if given_ca is None else given_ca)


def export(
    context: typer.Context,
    name: str,
    item: Annotated[int, typer.Argument(help="Number of the item, as the case shows it.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write to.")],
    purpose: Annotated[
        str,
        typer.Option(
            metavar="-|TEXT",
            help=f"The purpose, which is noted in the chain of custody. {STDIN_OPTION_ADVICE}",
        ),
    ] = "taken out of the vault",
    as_json: JsonFlag = False,
) -> None:
    """Write an item to a folder as it was stored, with its stamps and proofs, and note that in the
    case.
    """
    written, purpose = FileGroup(), read_typed_line(purpose, translated("What for"), context)
    with opened_device(context) as device, written.remove_on_failure(lambda: False):
        export_item(name, item, purpose, device, partial(_write_exported_item, written, out, name))
    place, *other_files = written.places
    if as_json:
        shown = {"file": str(place), "beside": [str(one) for one in other_files]}
        print_json({"schema": "entrenous/evidence-export/1", **shown})
        return
    print_line(translated("wrote {place}").format(place=place))
    for one in other_files:
        print_line("  " + translated("and {one}").format(one=one))
    for line in explain_how_to_check_stamp([str(place), *map(str, other_files)]):
        print_line(line)


def _write_exported_item(written: FileGroup, out: Path, name: str, exported: ExportedItem) -> None:
    for file, data in exported_files(exported, f"{name}-").items():
        written.add(out / file, len(data), partial(_write_bytes, data))
    written.write()


def _write_bytes(data: bytes, file: BinaryIO) -> None:
    file.write(data)
