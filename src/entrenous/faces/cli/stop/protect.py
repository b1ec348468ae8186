"""``entrenous protect`` and ``entrenous unprotect``."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Annotated, Final

import typer

from entrenous.faces.cli.device.opened import device_of, session_of
from entrenous.faces.cli.media import naming, read_media
from entrenous.faces.cli.output import hint, in_one_go, put_json, say
from entrenous.faces.cli.stop.agreed import files_of, looks_agreed
from entrenous.faces.cli.stop.desk import Desk
from entrenous.model.claim import ClaimState, NoSuchClaim
from entrenous.model.errors import EntrenousError, Unreachable
from entrenous.model.print import PICTURE_KIND, SOUND_KIND, VIDEO_KIND
from entrenous.model.protection import Consent, Protection, TooYoung
from entrenous.model.setting import Proxy
from entrenous.ports import BankClient, Device
from entrenous.stop.protections import ask_again, forget, protection_called, protections
from entrenous.stop.withdraw import unprotect as withdraw
from entrenous.wiring.outside import bank_client

_KINDS: Final = {PICTURE_KIND: "picture", VIDEO_KIND: "video", SOUND_KIND: "sound"}
Json = Annotated[bool, typer.Option("--json", help="One JSON object.")]


def join(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command("protect")(protect)
    app.command("unprotect")(unprotect)


def protect(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(help="The picture, video or sound; it stays here.")
    ] = None,
    message: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="All files of a message that you sent or opened here."),
    ] = None,
    gate: Annotated[
        str | None, typer.Option(metavar="URL", help="Address of the platform's gate.")
    ] = None,
    under_18: Annotated[
        bool, typer.Option("--under-18", help="Somebody in it was under 18: who helps then.")
    ] = False,
    parts: Annotated[
        bool, typer.Option("--parts/--whole-only", help="Also fingerprints of cut-outs.")
    ] = True,
    sound: Annotated[
        bool, typer.Option("--sound/--no-sound", help="Of a video: also its sound.")
    ] = True,
    embedding: Annotated[
        bool, typer.Option("--embedding", help="Of a picture: also how it looks; betrays more.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="On a terminal: do not ask whether to send them.")
    ] = False,
    listed: Annotated[bool, typer.Option("--list", help="What you registered.")] = False,
    ask: Annotated[
        bool, typer.Option("--ask", help="With --list: ask each platform how it stands now.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Ask a platform to stop a picture, video or sound; only its fingerprints leave this device.

    What they betray is said first; on a terminal you are asked then. Without one you say by this
    command that everybody in it was 18 or older (if not, use --under-18), and that they may leave.
    """
    if listed:
        _list(context, ask=ask, as_json=as_json)
        return
    if under_18:  # who helps then, whatever else is missing
        raise TooYoung
    if (file is None) == (message is None) or gate is None:
        raise typer.BadParameter("give a file, or --message NAME, and --gate URL")
    data = None if file is None else read_media(file)
    looks = embedding and looks_agreed()
    consent = Consent(adult=True, parts=parts, sound=sound, embedding=looks)
    proxy = session_of(context).settings.proxy
    with device_of(context) as device, bank_client(gate, proxy) as client:
        desk = Desk(consent, client, device, asks=not yes)
        if data is not None:
            with naming([] if file is None else [file]):
                made = desk.register(data)
            _tell(made, as_json=as_json)
        elif message is not None:
            _protect_message(
                message, desk, session_of(context).apps["received files"], as_json=as_json
            )


def _protect_message(
    message: str, desk: Desk, received: Callable[[str, Device], Iterator[bytes]], *, as_json: bool
) -> None:
    """What can be registered is; then why the first of the others can not is the answer."""
    try:
        desk.register_all(files_of(message, desk.device, received))
    finally:
        if desk.made:
            _tell_all(desk.made, as_json=as_json)
    if desk.left_out:
        raise desk.left_out[0]


def unprotect(
    context: typer.Context,
    claim: str,
    off_list: Annotated[
        bool, typer.Option("--forget", help="Off the list, if no platform ever confirmed it.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Withdraw a registration; it acts at once."""
    with device_of(context) as device:
        protection = protection_called(claim, device)
        try:
            proxy = session_of(context).settings.proxy
            with bank_client(protection.gate_url, proxy) as client:
                protection = withdraw(protection, client, device)
        except EntrenousError as why:
            if off_list and protection.state is None:  # else her token alone ends what they have
                forget(protection, device)
                _tell_forgotten(protection, as_json=as_json)
                return
            _hint_at_what_is_left(protection, why)
            raise
    _tell(protection, as_json=as_json)


def _hint_at_what_is_left(protection: Protection, why: EntrenousError) -> None:
    """After a withdrawal that failed."""
    claim = protection.claim
    if protection.state is None:
        hint(f"Nobody confirmed it. Off your list: entrenous unprotect {claim} --forget")
    elif not isinstance(why, NoSuchClaim):
        hint(
            f"As far as can be told from here, {claim} is still registered there. "
            f"When the reason is gone, type again: entrenous unprotect {claim}"
        )


def _tell_forgotten(protection: Protection, *, as_json: bool) -> None:
    """Its token is gone: what is left if the platform did hear of it is to ask a person there."""
    if as_json:
        put_json({"schema": "entrenous/claim/1", **_shown(protection), "forgotten": True})
        return
    say(f"claim {protection.claim} at {protection.gate_url}: off your list, never confirmed")
    say("if the platform heard of it after all, it stops that file until somebody there ends it:")
    say(f"write to them and name the claim {protection.claim}, so note it down")


def _list(context: typer.Context, *, ask: bool, as_json: bool) -> None:
    with device_of(context) as device:
        noted = protections(device)
        known = _asked(noted, session_of(context).settings.proxy, device) if ask else noted
    if as_json:
        _tell_all(known, as_json=True)
        return
    for one in known:
        say(f"{one.claim}  {_KINDS.get(one.kind, one.kind)}, {_state(one)}  at {one.gate_url}")
    if not known:
        say("Nothing registered yet.")


def _asked(
    known: Sequence[Protection], proxy: Proxy | None, device: Device
) -> Sequence[Protection]:
    """How they stand now; a platform that does not say so leaves them as they were, and one that is
    silent is not asked again: somebody waits.
    """
    silent = Counter[str]()
    with ExitStack() as clients:
        client_of = cache(lambda url: clients.enter_context(bank_client(url, proxy)))
        answers = [_answer(one, client_of, silent, device) for one in known]
    for url, claims in silent.items():
        if claims > 1:
            hint(f"{claims} claims at {url} are shown as they stood before.")
    return answers


def _answer(
    one: Protection, client_of: Callable[[str], BankClient], silent: Counter[str], device: Device
) -> Protection:
    if one.gate_url in silent:
        silent[one.gate_url] += 1
        return one
    try:
        return ask_again(one, client_of(one.gate_url), device)
    except NoSuchClaim:
        hint(f"{one.gate_url} has no claim {one.claim}.")
    except EntrenousError as error:
        hint(in_one_go(str(error)))
        if isinstance(error, Unreachable):
            silent[one.gate_url] = 1
    return one


def _state(one: Protection) -> str:
    return "asked, no answer yet" if one.state is None else one.state.value


def _shown(one: Protection) -> dict[str, object]:
    state = "asked" if one.state is None else one.state.value
    return {"claim": one.claim, "kind": one.kind, "state": state, "gate": one.gate_url}


def _tell(protection: Protection, *, as_json: bool) -> None:
    if as_json:
        put_json({"schema": "entrenous/claim/1", **_shown(protection)})
    else:
        say(f"claim {protection.claim} at {protection.gate_url}: {_state(protection)}")
        if protection.state is not ClaimState.WITHDRAWN:
            say(f"take it back at any time: entrenous unprotect {protection.claim}")


def _tell_all(made: Sequence[Protection], *, as_json: bool) -> None:
    if as_json:
        put_json({"schema": "entrenous/claims/1", "claims": [_shown(one) for one in made]})
        return
    for one in made:
        _tell(one, as_json=False)
