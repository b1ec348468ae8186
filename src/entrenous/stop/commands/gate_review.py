"""``entrenous gate review`` and ``gate reviewer``: the queue, and who decides."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from entrenous.base.environment import SystemClock
from entrenous.base.picture import AlreadyThere
from entrenous.base.secret import Secret
from entrenous.device.client.http_courier import new_relay_client
from entrenous.stop.client.gate_answer import TOKEN_VARIABLE
from entrenous.stop.client.review_client import (
    ReviewClient,
    ShownMatch,
    ShownQueue,
    ShownReview,
    asgi_client,
)
from entrenous.stop.commands.gate_bank import AsJsonOption, GateFolderOption
from entrenous.stop.commands.gate_drop import client_settings_from_options
from entrenous.stop.registration import MATCHING_STATES
from entrenous.stop.reviewers import add_reviewer
from entrenous.stop.store.open_gate import open_existing
from entrenous.terminal.output import hint, join_wrapped_lines, print_json, print_line, rfc3339_utc
from entrenous.terminal.output_files import read_file, write_new
from entrenous.terminal.session import session_of

ReviewerNameArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="2 to 40 of the characters a-z, 0-9 and -; no - at either end."
    ),
]


def create_reviewer(
    name: ReviewerNameArgument, data: GateFolderOption, as_json: AsJsonOption = False
) -> None:
    """Let a person decide; prints their token once. Their name stays in the gate's log."""
    with open_existing(data) as (platform, _):
        token = add_reviewer(name, platform).reveal().decode()
        confirmers = platform.limits.confirmers
    if as_json:
        print_json({"schema": "entrenous/gate-reviewer/1", "reviewer": name, "token": token})
        return
    print_line(f"{name} may look at held uploads and decide.")
    print_line(f"  Their token, shown only now: {token}")
    print_line("  It is for this person only: the log names them for each decision and view.")
    if confirmers == 1:
        print_line("  One person confirms here. With two, set confirmers = 2 in gate.toml.")


def list_reviewers(data: GateFolderOption, as_json: AsJsonOption = False) -> None:
    """List who may decide, besides the operator."""
    with open_existing(data) as (platform, _):
        known, confirmers = platform.reviews.reviewers(), platform.limits.confirmers
    if as_json:
        shown = [{"reviewer": one.name, "added_at": rfc3339_utc(one.added_at)} for one in known]
        schema = "entrenous/gate-reviewers/1"
        print_json({"schema": schema, "reviewers": shown, "confirmers": confirmers})
        return
    for one in known:
        print_line(f"{one.name}: added {one.added_at:%Y-%m-%d %H:%M} UTC")
    if not known:
        print_line("Only the holder of the operator's token decides here.")
    print_line("One person confirms." if confirmers == 1 else "Two people confirm.")


def remove_reviewer(
    name: ReviewerNameArgument, data: GateFolderOption, as_json: AsJsonOption = False
) -> None:
    """Revoke a person's token; cases that only they confirmed have to be confirmed again."""
    with open_existing(data) as (platform, _):
        platform.reviews.remove_reviewer(name)
    if as_json:
        print_json({"schema": "entrenous/gate-reviewer/1", "reviewer": name, "removed": True})
        return
    print_line(f"{name} can no longer decide. What they decided stays.")


_LOCAL_URL: Final = "http://127.0.0.1"  # stands for the application in this process
_DECISIONS: Final = ("confirm", "release")
_FOUND_BY_WORDS: Final = {
    "upload": "held as it came",
    "published": "published all the same: your server keeps nothing back, or is in shadow",
    "look back": "published before, found when a claim came",
    "slow look": "published before, found by the slow look",
    "appeal": "refused, and appealed",
}


def add_commands(gate: typer.Typer) -> None:
    """Add this module's commands to the group ``entrenous gate``."""
    reviewer = typer.Typer(help="People who decide about held uploads.", no_args_is_help=True)
    reviewer.command("add")(create_reviewer)
    reviewer.command("list")(list_reviewers)
    reviewer.command("remove")(remove_reviewer)
    gate.add_typer(reviewer, name="reviewer")
    gate.command("review")(review_uploads)


def review_uploads(
    context: typer.Context,
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of the gate, if you are on its machine."),
    ] = None,
    gate: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Address of the gate, if you are on another machine."),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="File with your token; with --data, the operator's by default."
        ),
    ] = None,
    after: Annotated[str, typer.Option(metavar="CASE", help="List cases after this one.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="List at most this many.")] = 20,
    show: Annotated[
        str | None, typer.Option(metavar="CASE", help="Write a small, grey, blurred copy to --out.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --show: the new file to write.")
    ] = None,
    clear: Annotated[
        bool, typer.Option("--clear", help="With --show: write the upload itself.")
    ] = False,
    decide: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="CASE confirm|release",
            help="Confirm: refuse this upload and similar ones. Release: accept it.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List uploads that wait for a reviewer; look at a case, or decide it. All of it is logged."""
    if (data is None) == (gate is None):
        raise typer.BadParameter("give --data DIR, or --gate URL")
    if (show is None) != (out is None) or (clear and show is None) or (show and decide):
        raise typer.BadParameter("give --show CASE and --out FILE together, without --decide")
    if decide and decide[1] not in _DECISIONS:
        raise typer.BadParameter("a decision is confirm or release")
    with _open_review_client(context, data, gate, token_file) as client:
        if show is not None and out is not None:
            _write_upload(client, show, out, clear=clear, as_json=as_json)
        elif decide:
            _decide_case(client, *decide, as_json=as_json)
        else:
            _print_waiting(client, after, limit, as_json=as_json)


@contextmanager
def _open_review_client(
    context: typer.Context, data: Path | None, gate: str | None, token_file: Path | None
) -> Iterator[ReviewClient]:
    """Connect to the gate at an address, or open it in this process, without a socket."""
    if data is None:
        if token_file is None and TOKEN_VARIABLE not in os.environ:
            raise typer.BadParameter(
                "give --token-file FILE with your own token; ask the people who run the gate to "
                "create it with: entrenous gate reviewer add"
            )
        setting = client_settings_from_options(gate or "", token_file)
        with new_relay_client(proxy=session_of(context).settings.proxy) as client:
            yield ReviewClient(setting.gate.rstrip("/"), setting.token, client)
        return
    token = None if token_file is None else Secret(read_file(token_file).strip())
    with open_existing(data) as (platform, tokens):
        app = session_of(context).feature_functions["gate"](platform, tokens)
        with asgi_client(app) as client:
            yield ReviewClient(_LOCAL_URL, token or tokens.operator, client, called=str(data))


def _print_waiting(client: ReviewClient, after: str, limit: int, *, as_json: bool) -> None:
    if after:
        client.get_review(
            after
        )  # raises if there is no such case; otherwise all cases would be listed
    queue = client.next_waiting(after)
    first, found = queue, list[ShownReview]()
    while queue.next is not None and len(found) < limit:
        found.append(queue.next)
        queue = client.next_waiting(queue.next.case)
    if as_json:
        cases = msgspec.to_builtins(found)
        print_json(
            {
                "schema": "entrenous/gate-review/1", "waiting": first.waiting, "cases": cases,
                "more": queue.next is not None, "reviewer": first.reviewer,
                "confirmers": first.confirmers,
            }
        )  # fmt: skip
        return
    for line in _queue_in_words(first, found, more=queue.next is not None, all_asked=not after):
        print_line(
            join_wrapped_lines(line)
            if not line.startswith(" ")
            else f"  {join_wrapped_lines(line)}"
        )


def _queue_in_words(
    queue: ShownQueue, reviews: list[ShownReview], *, more: bool, all_asked: bool
) -> Iterator[str]:
    yield f"{queue.waiting:,} wait for a reviewer; you are {queue.reviewer} at this gate."
    for review in reviews:
        found_by = _FOUND_BY_WORDS.get(review.found, review.found)
        yield f"{review.case}: {found_by}, {_arrival_in_words(review.at)}"
        yield from (f"  {line}" for line in _facts_in_words(review))
    if more:
        yield f"There are more: --after {reviews[-1].case}"
    elif all_asked and len(reviews) < queue.waiting:
        yield f"{queue.waiting - len(reviews):,} that you confirmed wait for a second person."
    if reviews:
        yield "To look, blurred: --show CASE --out FILE. To decide: --decide CASE confirm|release."


def _arrival_in_words(at: str) -> str:
    """Return the time to the minute.

    If the gate's clock is not ahead of this machine's, also say how long ago that time was.
    """
    try:
        moment = datetime.fromisoformat(at).astimezone(UTC)
    except (ValueError, OverflowError):
        return at
    hours, rest_s = divmod(int((SystemClock().now() - moment).total_seconds()), 3600)
    ago = f"{hours // 24} days" if hours >= 48 else f"{hours} h" if hours else f"{rest_s // 60} min"
    return f"came {moment:%Y-%m-%d %H:%M} UTC" + (f", {ago} ago" if hours >= 0 else "")


def _facts_in_words(review: ShownReview) -> Iterator[str]:
    """Yield the facts for a decision; reasons and references are other people's words."""
    for match in review.matches:
        yield _match_in_words(match)
    if not review.matches:
        yield "it could not be read"
    if review.gathered:
        yield f"{review.gathered:,} more wait with it"
    if review.reference:
        yield f"your name for it: {review.reference}"
    if review.first_confirmer:
        yield f"{review.first_confirmer} confirmed it; a second person has to confirm it too"
    if review.view is None:
        yield "its bytes are not stored here: look at your own copy"


def _match_in_words(match: ShownMatch) -> str:
    reason = f"; its owner says: {match.reason}" if match.reason else ""
    said = ", ".join(f"{many} {stance}" for stance, many in match.opinions.items() if many)
    others = f"; other platforms: {said}" if said else ""
    claim = f"; the claim is {match.state}" if match.state else ""
    return f"{match.bank}, {match.distance} bits away, {match.how}{claim}{reason}{others}"


def _write_upload(
    client: ReviewClient, case: str, out: Path, *, clear: bool, as_json: bool
) -> None:
    """Write the upload to a new file.

    An existing file is refused before the upload is fetched, so that the log never records a view
    that did not take place.
    """
    if out.exists() or out.is_symlink():
        raise AlreadyThere(path=out)
    write_new(out, client.original_bytes(case) if clear else client.blurred_preview(case))
    if as_json:
        schema = "entrenous/gate-view/1"
        print_json({"schema": schema, "case": case, "file": str(out), "clear": clear})
        return
    what = "the upload itself, as it came" if clear else "small, grey and blurred"
    print_line(f"{out} has case {case}: {what}. The log records that you asked for it.")


def _decide_case(client: ReviewClient, case: str, decision: str, *, as_json: bool) -> None:
    """Decide a case.

    On a terminal, the case is first shown and the person asked to confirm, since a case number is
    easily mistyped. If further claims have matched in the meantime, the gate decides nothing.
    """
    before = client.get_review(case)
    if sys.stdin.isatty() and not as_json and before.state == "waiting":
        for line in _facts_in_words(before):
            hint(join_wrapped_lines(line))
        typer.confirm(f"{decision.capitalize()} case {case}?", abort=True, err=True)
    claims = [match.claim for match in before.matches]
    _print_decision(client.decide(case, decision, claims), as_json=as_json)


def _print_decision(review: ShownReview, *, as_json: bool) -> None:
    if as_json:
        print_json(msgspec.to_builtins(review))
        return
    if review.state == "waiting":
        print_line(f"Case {review.case} waits for a second person, who has to confirm it too.")
        return
    print_line(f"Case {review.case} is {review.state}.")
    if review.also:
        print_line(f"  {len(review.also):,} like it were decided with it.")
    if review.state == "confirmed" and (why := _why_confirming_has_no_effect(review)):
        print_line(f"  {why}")


def _why_confirming_has_no_effect(review: ShownReview) -> str:
    """Return why a confirmed upload will not be refused; empty if it will be."""
    if not review.matches:
        return (
            "It could not be read, so it is not refused from now on; the same file is held again."
        )
    if not any(match.state in MATCHING_STATES for match in review.matches):
        return "No claim that it matches is left, so nothing follows: the same file is not stopped."
    return ""
