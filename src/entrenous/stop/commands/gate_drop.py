"""``entrenous gate drop`` and ``gate proxy``: ask a gate about files, or about a server's
uploads.
"""

import itertools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer

from entrenous.base.environment import UnusableFolder
from entrenous.base.errors import EntrenousError, Refused, Unreachable
from entrenous.base.picture import NoSuchFile, UnreadableFile
from entrenous.serving.http_server import serve
from entrenous.serving.server_process import start_gate_client_log
from entrenous.stop.client.gate_answer import (
    ClientSettings,
    GateAnswer,
    GateReason,
    GateVerdict,
    read_client_settings,
    strictest_answer,
)
from entrenous.stop.client.upload_client import GateClient, hold_without_asking
from entrenous.stop.client.uploaded_files import FileInMail, NotAMail, files_in_mail
from entrenous.terminal.output import hint, join_wrapped_lines, print_json, print_line
from entrenous.terminal.session import EXIT_STATUS_BY_FAMILY, EXIT_YES, session_of
from entrenous.terminal.typed_input import parse_host_and_port

GateUrlOption = Annotated[str, typer.Option(metavar="URL", help="Address of the gate.")]
TokenFileOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The gate's operator.token; the variable ENTRENOUS_GATE_TOKEN if left out.",
    ),
]
OtherMediaOption = Annotated[
    str, typer.Option(metavar="hold|pass", help="What to do with media that the gate cannot read.")
]
ShadowOption = Annotated[
    bool, typer.Option("--shadow", help="Ask and log, but always let through.")
]
AsJsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def run_proxy(
    context: typer.Context,
    upstream: Annotated[str, typer.Option(metavar="URL", help="The server to forward to.")],
    gate: GateUrlOption,
    token_file: TokenFileOption = None,
    paths: Annotated[
        str,
        typer.Option(metavar="PATH,PATH", help="Paths to which uploads are sent; / covers all."),
    ] = "/",
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Host and port; port 0 takes a free one.")
    ] = "127.0.0.1:7803",
    on_hold: Annotated[
        str, typer.Option(metavar="publish|header", help="What to do with a held upload.")
    ] = "publish",
    other_media: OtherMediaOption = "hold",
    appeal_url: Annotated[
        str, typer.Option(metavar="URL", help="Where people can appeal against a refusal.")
    ] = "",
    budget: Annotated[
        float,
        typer.Option(
            metavar="SECONDS", help="Hold an upload if there is no answer after this many seconds."
        ),
    ] = 5.0,
    account_header: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Header in which your web server names the signed-in user."
        ),
    ] = "",
    shadow: ShadowOption = False,
    as_json: AsJsonOption = False,
) -> None:
    """Forward requests to another server, and ask the gate about each upload.

    Each decision is logged in one line on standard error, without anything from the upload.
    """
    options = {"appeal_url": appeal_url, "budget_s": budget, "shadow": shadow}
    setting = client_settings_from_options(gate, token_file, other_media=other_media, **options)
    start_gate_client_log(sys.stderr)
    where = [path.strip() for path in paths.split(",") if path.strip()]
    app = session_of(context).feature_functions["gate proxy"](
        upstream, setting, where, on_hold, account_header
    )

    def announce(url: str) -> None:
        if as_json:
            print_json({"schema": "entrenous/gate-proxy/1", "url": url})
        else:
            print_line(f"Uploads to {upstream} are checked at {url}. Stop it with Ctrl-C.")

    serve(app, *parse_host_and_port(listen), announce)


def client_settings_from_options(
    gate: str, token_file: Path | None, **more: object
) -> ClientSettings:
    """Return the settings that the options give; raises BadSetting."""
    token = {} if token_file is None else {"token_file": token_file}
    return read_client_settings({"gate": gate, **token, **more})


# Bytes; a larger message is held without asking the gate. Mail servers allow 10 to 50 MB.
MAIL_BYTES_MAX: Final = 100_000_000
_EXIT_STATUS_BY_VERDICT: Final = {
    GateVerdict.LET_THROUGH: EXIT_YES,
    GateVerdict.REFUSE: EXIT_STATUS_BY_FAMILY[Refused.family],
    GateVerdict.HOLD: EXIT_STATUS_BY_FAMILY[Unreachable.family],
}
# Mail servers bounce a message on "refused", so only the gate's decision gives that status. After
# any error, such as a missing token, they should try again.
_TRY_AGAIN_EXIT_STATUS: Final = _EXIT_STATUS_BY_VERDICT[GateVerdict.HOLD]
NamedAnswers = list[tuple[str, GateAnswer]]


class OtherFileSystem(Unreachable):
    """
    {folder} and {path} are on different file systems, so files cannot be moved in one step. No file
    was checked or moved. Choose a folder on the same file system as the files.
    """


class FileNotMoved(Unreachable):
    """
    {path} could not be moved to {folder}, and is still where it was; a copy may be in {folder}
    already. Check the permissions of both folders and look into {folder}. Then move the file
    yourself, or delete it from its old place if the copy is there.
    """


def add_commands(gate: typer.Typer) -> None:
    """Add this module's commands to the group ``entrenous gate``."""
    gate.command("proxy")(run_proxy)
    gate.command("drop")(ask_about_files)


def ask_about_files(
    gate: GateUrlOption,
    files: Annotated[list[Path] | None, typer.Argument(help="Files, one upload each.")] = None,
    token_file: TokenFileOption = None,
    quarantine: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Move files that are not let through to this folder."),
    ] = None,
    mail: Annotated[
        bool,
        typer.Option(
            "--mail", help="Read a mail message from standard input, and ask about each part."
        ),
    ] = False,
    account: Annotated[
        str,
        typer.Option(metavar="NAME", help="The account of the uploader; only its hash is sent."),
    ] = "",
    other_media: OtherMediaOption = "hold",
    shadow: ShadowOption = False,
    as_json: AsJsonOption = False,
) -> None:
    """Ask the gate about files or a mail message: status 0 let through, 3 refused, 6 held.

    Status 4: there is no such file. Errors of the call itself, such as a missing token, also have
    status 6, so that nothing is refused because of them. Archives are not opened.
    """
    if mail == bool(files) or (mail and quarantine is not None):
        raise typer.BadParameter("give files, or --mail without --quarantine")
    options = {"other_media": other_media, "shadow": shadow}
    failed = list[EntrenousError]()
    with (
        _exit_with_try_again_status(),
        closing(GateClient(client_settings_from_options(gate, token_file, **options))) as client,
    ):
        if mail:
            answers = _ask_about_mail_parts(client, account)
        else:
            ask = partial(client.ask_file, account=account)
            answers = _ask_about_each_file(files or [], ask, quarantine, failed)
    _print_answers(answers, as_json=as_json)
    for error in failed:
        hint(join_wrapped_lines(str(error)))
    worst = strictest_answer(answer for _, answer in answers)
    raise typer.Exit(
        _TRY_AGAIN_EXIT_STATUS
        if failed
        else EXIT_YES
        if worst is None
        else _EXIT_STATUS_BY_VERDICT[worst.action]
    )


@contextmanager
def _exit_with_try_again_status() -> Iterator[None]:
    """Print errors, and exit with the status for "try again".

    A missing file keeps its own status.
    """
    try:
        yield
    except NoSuchFile:
        raise
    except EntrenousError as error:
        hint(join_wrapped_lines(str(error)))
        raise typer.Exit(_TRY_AGAIN_EXIT_STATUS) from None


def _ask_about_each_file(
    files: list[Path],
    ask: Callable[[Path], GateAnswer],
    quarantine: Path | None,
    failed: list[EntrenousError],
) -> NamedAnswers:
    """Ask about each file, and move one that is not let through as soon as that is known.

    Files that cannot be read or moved are added to ``failed``; the others are still asked about.
    """
    for file in files:
        if not file.is_file():
            raise NoSuchFile(path=file)
    if quarantine is not None:
        _prepare_quarantine(quarantine, files)
    answers: NamedAnswers = []
    for file in files:
        try:
            answers.append((str(file), _ask_about_file(file, ask)))
            if quarantine is not None and answers[-1][1].action is not GateVerdict.LET_THROUGH:
                _move_file(file, quarantine)
        except EntrenousError as error:
            failed.append(error)
    return answers


def _prepare_quarantine(quarantine: Path, files: list[Path]) -> None:
    """Prepare the folder for files that are not let through.

    Do this before asking the gate: without the folder, an answer could not be applied.

    Raises:
        UnusableFolder: it cannot be created or written to.
        OtherFileSystem: a file could only be copied there.
    """
    try:
        quarantine.mkdir(mode=0o700, parents=True, exist_ok=True)
        device_number = quarantine.stat().st_dev
        elsewhere = [file for file in files if file.parent.stat().st_dev != device_number]
    except OSError:
        raise UnusableFolder(path=quarantine) from None
    if not os.access(quarantine, os.W_OK | os.X_OK):
        raise UnusableFolder(path=quarantine)
    if elsewhere:
        raise OtherFileSystem(folder=quarantine, path=elsewhere[0])


def _ask_about_file(file: Path, ask: Callable[[Path], GateAnswer]) -> GateAnswer:
    try:
        return ask(file)
    except OSError:
        raise UnreadableFile(path=file) from None


def _move_file(file: Path, folder: Path) -> None:
    """Move a file within its file system, so that no partial file is ever visible. No file is
    overwritten.
    """
    try:
        for number in itertools.count(1):
            name = file.name if number == 1 else f"{file.stem}-{number}{file.suffix}"
            with suppress(FileExistsError):
                os.link(file, folder / name)
                break
        file.unlink()
    except OSError:
        raise FileNotMoved(path=file, folder=folder) from None


def _ask_about_mail_parts(client: GateClient, account: str) -> NamedAnswers:
    untrusted_mail = sys.stdin.buffer.read(MAIL_BYTES_MAX + 1)
    if len(untrusted_mail) > MAIL_BYTES_MAX:
        return [("message", hold_without_asking(GateReason.TOO_LARGE, client.setting))]
    try:
        parts = files_in_mail(untrusted_mail)
    except NotAMail:
        return [("message", hold_without_asking(GateReason.UNREADABLE, client.setting))]
    return [
        (f"part {number}", _ask_about_part(part, client, account))
        for number, part in enumerate(parts, 1)
    ]


def _ask_about_part(part: FileInMail, client: GateClient, account: str) -> GateAnswer:
    if part.untrusted_data is None:
        return hold_without_asking(GateReason.UNREADABLE, client.setting)
    return client.ask(part.untrusted_data, account=account, says_media=part.says_media)


def _print_answers(answers: NamedAnswers, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "schema": "entrenous/drop/1",
                "uploads": [{"name": name, **_answer_json(answer)} for name, answer in answers],
            }
        )
        return
    for name, answer in answers:
        case = f"  case {answer.case}" if answer.case else ""
        would = f"  (a bank in shadow would {answer.would.value})" if answer.would else ""
        shadow = "  (shadow: let through)" if answer.shadow else ""
        print_line(f"{name}: {answer.verdict.value}  {answer.reason.value}{case}{would}{shadow}")
    if not answers:
        hint("There is no picture, video or sound in it.")


def _answer_json(answer: GateAnswer) -> dict[str, object]:
    return {
        "decision": answer.verdict.value,
        "why": answer.reason.value,
        "case": answer.case,
        "would": None if answer.would is None else answer.would.value,
        "shadow": answer.shadow,
    }
