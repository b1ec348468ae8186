"""``entrenous gate proxy`` and ``entrenous gate drop``: ask a gate in front of other programs."""

import itertools
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final

import typer

from entrenous.adapters.gate_client.answer import Answer, Said, Why, strictest
from entrenous.adapters.gate_client.client import GateClient
from entrenous.adapters.gate_client.mail import MailFile, NotAMail, media_in
from entrenous.adapters.gate_client.setting import HookSetting, read_setting
from entrenous.adapters.http_server import serve
from entrenous.faces.cli.device.opened import session_of
from entrenous.faces.cli.exits import BY_FAMILY, YES
from entrenous.faces.cli.listen import host_and_port
from entrenous.faces.cli.output import hint, put_json, say
from entrenous.model.errors import Refused, Unreachable
from entrenous.model.picture import NoSuchFile, UnreadableFile
from entrenous.model.setting import UnusableFolder

#: Beyond, a message is held unread; mail servers refuse at 10 to 50 MB.
MAIL_BYTES_MAX: Final = 100_000_000
#: Refused beats held: a mail server that must choose one may not let through what was refused.
_EXITS: Final = {
    Said.LET_THROUGH: YES,
    Said.REFUSE: BY_FAMILY[Refused.family],
    Said.HOLD: BY_FAMILY[Unreachable.family],
}
Gate = Annotated[str, typer.Option(metavar="URL", help="Address of the gate.")]
Token = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The gate's operator.token; else ENTRENOUS_GATE_TOKEN."),
]
Media = Annotated[
    str, typer.Option(metavar="hold|pass", help="Video, sound, pictures it can't read.")
]
Shadow = Annotated[bool, typer.Option("--shadow", help="Ask and log; always let through.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object.")]


def join(gate: typer.Typer) -> None:
    """Add this module's commands to the group ``entrenous gate``."""
    gate.command("proxy")(proxy)
    gate.command("drop")(drop)


def proxy(
    context: typer.Context,
    upstream: Annotated[str, typer.Option(metavar="URL", help="The server behind.")],
    gate: Gate,
    token_file: Token = None,
    paths: Annotated[
        str, typer.Option(metavar="PATH,PATH", help="Where uploads come; / is everywhere.")
    ] = "/",
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Host and port; port 0 takes a free one.")
    ] = "127.0.0.1:7803",
    on_hold: Annotated[
        str, typer.Option(metavar="refuse|answer|header", help="What becomes of a held upload.")
    ] = "refuse",
    other_media: Media = "hold",
    appeal_url: Annotated[
        str, typer.Option(metavar="URL", help="Where people ask for a look at what was refused.")
    ] = "",
    budget: Annotated[
        float, typer.Option(metavar="SECONDS", help="No answer within it: the upload is held.")
    ] = 5.0,
    shadow: Shadow = False,
    as_json: Json = False,
) -> None:
    """Serve another server's address and ask the gate about each upload that comes to it."""
    given = {"appeal_url": appeal_url, "budget_s": budget, "shadow": shadow}
    setting = _setting(gate, token_file, other_media=other_media, **given)
    where = [path.strip() for path in paths.split(",") if path.strip()]
    app = session_of(context).apps["gate proxy"](upstream, setting, where, on_hold)

    def announce(url: str) -> None:
        if as_json:
            put_json({"schema": "entrenous/gate-proxy/1", "url": url})
        else:
            say(f"Uploads to {upstream} are checked at {url}. Stop it with Ctrl-C.")

    serve(app, *host_and_port(listen), announce)


def drop(
    gate: Gate,
    files: Annotated[list[Path] | None, typer.Argument(help="Files, one upload each.")] = None,
    token_file: Token = None,
    quarantine: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Move files there that are not let through."),
    ] = None,
    mail: Annotated[
        bool, typer.Option("--mail", help="A mail message on standard input, part by part.")
    ] = False,
    other_media: Media = "hold",
    shadow: Shadow = False,
    as_json: Json = False,
) -> None:
    """Ask the gate about files or a mail message: status 0 let through, 3 refused, 6 held.

    Archives are not opened.
    """
    if mail == bool(files) or (mail and quarantine is not None):
        raise typer.BadParameter("give files, or --mail without --quarantine")
    client = GateClient(_setting(gate, token_file, other_media=other_media, shadow=shadow))
    try:
        answers = _mail_parts(client) if mail else _each(files or [], client, quarantine)
    finally:
        client.close()
    _tell(answers, as_json=as_json)
    worst = strictest(answer for _, answer in answers)
    raise typer.Exit(YES if worst is None else _EXITS[worst.acts])


def _setting(gate: str, token_file: Path | None, **more: object) -> HookSetting:
    token = {} if token_file is None else {"token_file": token_file}
    return read_setting({"gate": gate, **token, **more})


def _each(
    files: list[Path], client: GateClient, quarantine: Path | None
) -> list[tuple[str, Answer]]:
    """Each file's answer; what is not let through is moved as soon as that is known."""
    for file in files:
        if not file.is_file():
            raise NoSuchFile(path=file)
    answers: list[tuple[str, Answer]] = []
    for file in files:
        answers.append((str(file), _about(file, client)))
        if quarantine is not None and answers[-1][1].acts is not Said.LET_THROUGH:
            _move(file, quarantine)
    return answers


def _about(file: Path, client: GateClient) -> Answer:
    try:
        return client.ask_file(file)
    except OSError:
        raise UnreadableFile(path=file) from None


def _move(file: Path, folder: Path) -> None:
    """Within one file system, so that no half of it is ever seen; nothing is written over."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in itertools.count(1):
            name = file.name if number == 1 else f"{file.stem}-{number}{file.suffix}"
            with suppress(FileExistsError):
                os.link(file, folder / name)
                break
        file.unlink()
    except OSError:
        raise UnusableFolder(path=folder) from None


def _mail_parts(client: GateClient) -> list[tuple[str, Answer]]:
    untrusted_mail = sys.stdin.buffer.read(MAIL_BYTES_MAX + 1)
    if len(untrusted_mail) > MAIL_BYTES_MAX:
        return [("message", client.held(Why.TOO_LARGE))]
    try:
        parts = media_in(untrusted_mail)
    except NotAMail:
        return [("message", client.held(Why.UNREADABLE))]
    return [(f"part {number}", _about_part(part, client)) for number, part in enumerate(parts, 1)]


def _about_part(part: MailFile, client: GateClient) -> Answer:
    if part.untrusted_data is None:
        return client.held(Why.UNREADABLE)
    return client.ask(part.untrusted_data, says_media=part.says_media)


def _tell(answers: list[tuple[str, Answer]], *, as_json: bool) -> None:
    if as_json:
        put_json(
            {
                "schema": "entrenous/drop/1",
                "uploads": [{"name": name, **_shown(answer)} for name, answer in answers],
            }
        )
        return
    for name, answer in answers:
        case = f"  case {answer.case}" if answer.case else ""
        would = f"  (a bank in shadow would {answer.would.value})" if answer.would else ""
        shadow = "  (shadow: let through)" if answer.shadow else ""
        say(f"{name}: {answer.said.value}  {answer.why.value}{case}{would}{shadow}")
    if not answers:
        hint("There is no picture, video or sound in it.")


def _shown(answer: Answer) -> dict[str, object]:
    return {
        "decision": answer.said.value,
        "why": answer.why.value,
        "case": answer.case,
        "would": None if answer.would is None else answer.would.value,
        "shadow": answer.shadow,
    }
