"""``entrenous gate index`` and ``gate try``: what a fingerprint or a file matches."""

import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from entrenous.base.files import translate_folder_errors
from entrenous.base.identifiers import ClaimId
from entrenous.stop.banks import parse_pdq_hash
from entrenous.stop.gate_settings import read_gate_settings
from entrenous.stop.index.file_index import FileIndex, index_condition, index_written_at
from entrenous.stop.judge.dry_run import dry_run
from entrenous.stop.platform import Platform
from entrenous.stop.registration import Claim
from entrenous.stop.store.open_gate import INDEX_FOLDER, open_existing
from entrenous.stop.upload_record import Decision
from entrenous.terminal.output import print_json, print_line
from entrenous.terminal.output_files import read_file
from entrenous.terminal.session import EXIT_NO

GateFolderOption = Annotated[Path, typer.Option(metavar="DIR", help="Folder for the database.")]
AsJsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
FoundClaim = tuple[int, Claim, bool]  # distance in bits, claim, whether only a part of it matches


def add_commands(gate: typer.Typer) -> None:
    """Add this module's commands to the group ``entrenous gate``."""
    gate.command("try")(try_upload)
    index = typer.Typer(help="The index of fingerprints.", no_args_is_help=True)
    index.command("lookup")(look_up_hashes)
    index.command("status")(print_index_status)
    index.command("rebuild")(rebuild_index)
    gate.add_typer(index, name="index")


def look_up_hashes(
    hashes: Annotated[list[str], typer.Argument(metavar="HEX...", help="PDQ fingerprints.")],
    data: GateFolderOption,
    as_json: AsJsonOption = False,
) -> None:
    """List claims within 31 bits of these fingerprints; rotated and mirrored ones are not tried.

    Exit status 1: there are none.
    """
    wanted = [parse_pdq_hash(text.strip().lower()) for text in hashes]
    with open_existing(data) as (platform, _):
        found = [
            [*whole, *parts]
            for whole, parts in zip(
                _find_claims_near(wanted, platform, part=False),
                _find_claims_near(wanted, platform, part=True),
                strict=True,
            )
        ]
    if as_json:
        shown = [
            {"hex": bits.hex(), "matches": [_match_json(*one) for one in some]}
            for bits, some in zip(wanted, found, strict=True)
        ]
        print_json({"schema": "entrenous/lookup/1", "hashes": shown})
    else:
        _print_matches(wanted, found)
    if not any(found):
        raise typer.Exit(EXIT_NO)


def print_index_status(data: GateFolderOption, as_json: AsJsonOption = False) -> None:
    """Say how many fingerprints the index contains, and the state of its file."""
    folder, shards = data / INDEX_FOLDER, read_gate_settings(data).index_shards
    with translate_folder_errors(folder):
        # Read this first, since opening the index repairs its file.
        condition = index_condition(folder, shards)
    with open_existing(data) as (platform, _), translate_folder_errors(folder):
        index = FileIndex(folder, platform.bank, shards)
        counts, withdrawn = index.counts(), index.has_withdrawn_hashes()
        age = max(timedelta(), platform.clock.now() - index_written_at(folder, shards))
    if as_json:
        print_json(
            {
                "schema": "entrenous/index/1",
                "file_was": condition,
                "whole": counts.whole,
                "parts": counts.parts,
                "in_base": counts.in_base,
                "later": counts.added_since_base,
                "withdrawn_waiting": withdrawn,
                "bytes": counts.base_bytes,
                "age_s": round(age.total_seconds()),
                "shards": shards,
            }
        )
        return
    print_line(f"{counts.whole} fingerprints of pictures and {counts.parts} of parts.")
    print_line(
        f"  The file was {condition}; it holds {counts.in_base} in {counts.base_bytes} bytes."
    )
    if withdrawn:
        print_line("  It still has withdrawn ones, which match nothing, until the next rebuild.")


def rebuild_index(data: GateFolderOption, as_json: AsJsonOption = False) -> None:
    """Rebuild the index's file from the bank; a running gate switches to it by itself."""
    folder = data / INDEX_FOLDER
    with open_existing(data) as (platform, _), translate_folder_errors(folder):
        index = FileIndex(folder, platform.bank, read_gate_settings(data).index_shards)
        index.rebuild()
        counts = index.counts()
    if as_json:
        print_json({"schema": "entrenous/index/1", "whole": counts.whole, "parts": counts.parts})
        return
    print_line(f"The index was rebuilt: {counts.whole} of pictures, {counts.parts} of parts.")


def _find_claims_near(
    wanted: Sequence[bytes], platform: Platform, *, part: bool
) -> list[list[FoundClaim]]:
    """Return, for each fingerprint, the claims within 31 bits, nearest first."""
    near = platform.index.find_near_hashes(wanted, part=part)
    claims: dict[int, dict[tuple[ClaimId, bool], Claim]] = defaultdict(dict)
    for entry, claim, at_ms in platform.bank.claims_on_pictures_and_frames(
        {one.entry for one in near}
    ):
        claims[entry][claim.id, part or at_ms is not None] = claim  # a frame is a part of its video
    found: list[list[FoundClaim]] = [[] for _ in wanted]
    for one in sorted(near, key=lambda near: near.distance):
        some = claims[one.entry].items()
        found[one.query] += [(one.distance, claim, is_part) for (_, is_part), claim in some]
    return found


def _match_json(distance: int, claim: Claim, part: bool) -> dict[str, object]:
    where = {"bank": claim.bank, "claim": claim.id, "state": claim.state.value}
    return {"distance": distance, **where, "part": part}


def _print_matches(wanted: Sequence[bytes], found: Sequence[list[FoundClaim]]) -> None:
    for bits, some in zip(wanted, found, strict=True):
        print_line(f"{bits.hex()}: {len(some) or 'no'} {'match' if len(some) == 1 else 'matches'}")
        for distance, claim, part in some:
            kind = " (a part)" if part else ""
            print_line(
                f"  {distance} bits: {claim.state} claim {claim.id} in bank {claim.bank}{kind}"
            )


def try_upload(
    file: Annotated[Path, typer.Argument(help="A picture, a clip or a sound.")],
    data: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the gate.")],
    deep: Annotated[
        bool,
        typer.Option("--deep", help="Also look for crops, screenshots, collages and captions."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what the gate would do with a file; the file is not stored."""
    untrusted = read_file(file)
    # Open the gate as a running gate does, so that the time shown excludes work that uploads do not
    # wait for.
    with open_existing(data, serves=True) as (platform, _):
        began = time.perf_counter()
        decision = dry_run(untrusted, platform, deep=deep)
        took_ms = round(1000 * (time.perf_counter() - began), 1)
    if as_json:
        print_json(_decision_json(decision, took_ms))
        return
    print_line(f"It would be answered: {decision.outcome}.")
    if decision.would is not None:
        print_line(f"  Without shadow mode: {decision.would}.")
    for match in decision.matches:
        print_line(f"  bank {match.bank}, {match.distance} of 256 bits apart: {match.how}")


def _decision_json(decision: Decision, took_ms: float) -> dict[str, object]:
    return {
        "schema": "entrenous/decision/1",
        "decision": decision.outcome,
        "would": decision.would,
        "matches": [
            {"bank": match.bank, "distance": match.distance, "how": match.how}
            for match in decision.matches
        ],
        "ms": took_ms,
    }
