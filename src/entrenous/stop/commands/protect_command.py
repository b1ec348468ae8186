"""``entrenous protect`` and ``entrenous unprotect``, and the questions before registering."""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Final

import typer

from entrenous.base.environment import Proxy
from entrenous.base.errors import EntrenousError, Unreachable, note_error_file_index
from entrenous.base.language import translated
from entrenous.base.picture import MediaKind
from entrenous.device.commands import opened_device
from entrenous.device.device import Device
from entrenous.device.sent_messages import UnknownMessage
from entrenous.fingerprint.nouns import (
    SoundTooQuiet,
    TooFlat,
    VideoTooFlat,
)
from entrenous.media.file_kind import media_kind_of
from entrenous.stop.client.registration_client import RegistrationClient, open_registration_client
from entrenous.stop.protect import (
    all_protections,
    delete_protection,
    find_active_registration,
    find_protection,
    fingerprint_file,
    original_files_of,
    refresh_protection,
    register_fingerprints,
    withdraw_protection,
)
from entrenous.stop.protect_wording import (
    WHAT_EMBEDDINGS_REVEAL,
    describe_video_fingerprints,
    describe_what_is_sent,
    kind_in_words,
    state_in_words,
)
from entrenous.stop.registration import (
    ClaimState,
    Consent,
    ConsentNotGiven,
    FileHasOnlySound,
    NoSuchClaim,
    NotEverybodyAdult,
    NothingToProtect,
    Protection,
)
from entrenous.terminal.media_files import name_file_on_error, read_nonempty_file
from entrenous.terminal.output import hint, join_wrapped_lines, print_json, print_line
from entrenous.terminal.session import session_of
from entrenous.terminal.typed_input import JsonFlag, ask_yes_or_no


def ask_if_everybody_adult() -> bool:
    """Ask whether everybody in the picture or video was an adult.

    Without a terminal, running the command means yes.
    """
    if not sys.stdin.isatty():
        return True
    question = translated("Was everybody in it 18 or older when it was made?")
    return ask_yes_or_no(question)


def ask_to_send(gate_url: str) -> bool:
    """Ask whether the fingerprints may be sent.

    Without a terminal, running the command means yes.
    """
    return not sys.stdin.isatty() or ask_yes_or_no(
        translated("Send this to {gate_url}?").format(gate_url=gate_url)
    )


def ask_to_send_embedding() -> bool:
    """Explain what an embedding reveals, and ask whether it may be sent.

    Without a terminal, the option --embedding means yes.
    """
    hint(translated(WHAT_EMBEDDINGS_REVEAL))
    return not sys.stdin.isatty() or ask_yes_or_no(translated("Send these numbers too?"))


def message_files(
    message: str, device: Device, received: Callable[[str, Device], Iterator[bytes]]
) -> Iterator[bytes]:
    """Yield the pictures, videos and sounds of a message that was sent, marked or received here.

    ``received`` yields the files of a received message, which only the package ``send`` can read.

    Raises:
        UnknownMessage: there is no message of that name.
        FilesNotOnDevice: the message was received, and its files are not in the vault.
        NothingToProtect: the message is a text.
    """
    files = _sent_or_received_files(message, device, received)
    first = next(files, None)
    if first is None:
        raise NothingToProtect(name=message)
    yield first
    yield from files


def _sent_or_received_files(
    message: str, device: Device, received: Callable[[str, Device], Iterator[bytes]]
) -> Iterator[bytes]:
    try:
        sent = device.ledger.message_named(message)
    except UnknownMessage:
        yield from received(message, device)
    else:
        yield from original_files_of(sent, device)


_SKIPPED_FILE_ERRORS: Final = (
    TooFlat,
    VideoTooFlat,
    SoundTooQuiet,
    FileHasOnlySound,
    ConsentNotGiven,
)


@dataclass(slots=True)
class FileRegistrar:
    """Registers files with one platform, as the person agreed.

    With ``asks``, the person is asked about each kind of file. ``answers`` records, for each kind
    that was explained, whether its fingerprints may be sent. ``made`` has the registrations, and
    ``left_out`` has the reasons why files could not be registered.
    """

    consent: Consent
    gate: RegistrationClient
    device: Device
    asks: bool = True
    answers: dict[MediaKind, bool] = field(default_factory=dict)
    made: list[Protection] = field(default_factory=list)
    left_out: list[EntrenousError] = field(default_factory=list)

    def register(self, untrusted_data: bytes) -> Protection:
        """Explain what is sent, ask, and register the file.

        Raises:
            NotEverybodyAdult, ConsentNotGiven: the answer was no; nothing was sent.
            Others: as :func:`fingerprint_file` and :func:`register_fingerprints`.
        """
        medium = media_kind_of(untrusted_data)
        if not self._ask_consent(medium):
            raise ConsentNotGiven
        with note_error_file_index(0):
            what = fingerprint_file(untrusted_data, self.consent, self.device)
        if medium is MediaKind.CLIP:
            hint(describe_video_fingerprints(what))
        before = find_active_registration(what, self.gate, self.device)
        if before is not None:
            hint(
                translated(
                    "You have already registered this file at that platform, as the "
                    "following claim. Nothing was sent."
                )
            )
        self.made.append(before or register_fingerprints(what, self.gate, self.device))
        return self.made[-1]

    def _ask_consent(self, medium: MediaKind) -> bool:
        """Explain what would be sent, and ask whether it may be, once for each kind of file.

        Before the first kind, also ask whether everybody was 18 or older.
        """
        if medium not in self.answers:
            hint(describe_what_is_sent(medium, self.consent))
            if not self.answers and not ask_if_everybody_adult():
                raise NotEverybodyAdult
            self.answers[medium] = not self.asks or ask_to_send(self.gate.url)
        return self.answers[medium]

    def register_all(self, files: Iterable[bytes]) -> None:
        """Register each file, and report by position which files cannot be registered."""
        for number, untrusted_data in enumerate(files, 1):
            try:
                self.register(untrusted_data)
            except _SKIPPED_FILE_ERRORS as why:
                self.left_out.append(why)
                hint(translated("File {number} of the message was left out.").format(number=number))


def add_commands(app: typer.Typer) -> None:
    app.command("protect")(protect)
    app.command("unprotect")(unprotect)


def protect(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(help="The picture, video or sound; it stays here.")
    ] = None,
    message: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Register all files of a message that you sent or opened here."
        ),
    ] = None,
    gate: Annotated[
        str | None, typer.Option(metavar="URL", help="Address of the platform's gate.")
    ] = None,
    under_18: Annotated[
        bool, typer.Option("--under-18", help="Somebody in it was under 18: only show who helps.")
    ] = False,
    parts: Annotated[
        bool, typer.Option("--parts/--whole-only", help="Also send fingerprints of cut-outs.")
    ] = True,
    sound: Annotated[
        bool, typer.Option("--sound/--no-sound", help="For a video: also register its sound.")
    ] = True,
    embedding: Annotated[
        bool,
        typer.Option(
            "--embedding", help="For a picture: also send how it looks, which reveals more."
        ),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="On a terminal: do not ask whether to send them.")
    ] = False,
    listed: Annotated[bool, typer.Option("--list", help="List what you registered.")] = False,
    ask: Annotated[
        bool, typer.Option("--ask", help="With --list: ask each platform for the current state.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Ask a platform to stop a picture, video or sound; only its fingerprints leave this device.

    The command first explains what the fingerprints reveal; on a terminal it then asks you. Without
    a terminal, running this command means that everybody in the picture or video was 18 or older
    (if not, use --under-18), and that the fingerprints may be sent.
    """
    if listed:
        _list_protections(context, ask=ask, as_json=as_json)
        return
    if under_18:  # before any other error, say who helps
        raise NotEverybodyAdult
    if (file is None) == (message is None) or gate is None:
        raise typer.BadParameter(translated("give a file, or --message NAME, and --gate URL"))
    data = None if file is None else read_nonempty_file(file)
    looks = embedding and ask_to_send_embedding()
    consent = Consent(adult=True, parts=parts, sound=sound, embedding=looks)
    proxy = session_of(context).settings.proxy
    with opened_device(context) as device, open_registration_client(gate, proxy) as client:
        registrar = FileRegistrar(consent, client, device, asks=not yes)
        if data is not None:
            with name_file_on_error([] if file is None else [file]):
                made = registrar.register(data)
            _print_protection(made, as_json=as_json)
        elif message is not None:
            _protect_message(
                message,
                registrar,
                session_of(context).feature_functions["received files"],
                as_json=as_json,
            )


def _protect_message(
    message: str,
    registrar: FileRegistrar,
    received: Callable[[str, Device], Iterator[bytes]],
    *,
    as_json: bool,
) -> None:
    """Register what can be registered; then raise the first reason why a file was left out."""
    try:
        registrar.register_all(message_files(message, registrar.device, received))
    finally:
        if registrar.made:
            _print_protections(registrar.made, as_json=as_json)
    if registrar.left_out:
        raise registrar.left_out[0]


def unprotect(
    context: typer.Context,
    claim: str,
    off_list: Annotated[
        bool,
        typer.Option(
            "--forget", help="Only remove it from the list, if no platform ever confirmed it."
        ),
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Withdraw a registration; this takes effect at once."""
    with opened_device(context) as device:
        protection = find_protection(claim, device)
        try:
            proxy = session_of(context).settings.proxy
            with open_registration_client(protection.gate_url, proxy) as client:
                protection = withdraw_protection(protection, client, device)
        except EntrenousError as why:
            # A registration that the platform has answered can be ended only with the token.
            if off_list and protection.state is None:
                delete_protection(protection, device)
                _print_forgotten_registration(protection, as_json=as_json)
                return
            _hint_after_failed_withdrawal(protection, why)
            raise
    _print_protection(protection, as_json=as_json)


def _hint_after_failed_withdrawal(protection: Protection, why: EntrenousError) -> None:
    """Say what to do after a failed withdrawal."""
    claim = protection.claim
    if protection.state is None:
        hint(
            translated(
                "The platform never confirmed this registration. To take it off your list: "
                "entrenous unprotect {claim} --forget"
            ).format(claim=claim)
        )
    elif not isinstance(why, NoSuchClaim):
        hint(
            translated(
                "As far as this device knows, registration {claim} still exists at the "
                "platform. Once the problem is solved, type again: entrenous unprotect "
                "{claim}"
            ).format(claim=claim)
        )


def _print_forgotten_registration(protection: Protection, *, as_json: bool) -> None:
    """Say that this device no longer has the token, so that only the platform's staff can end the
    registration.
    """
    if as_json:
        print_json(
            {"schema": "entrenous/claim/1", **_protection_json(protection), "forgotten": True}
        )
        return
    print_line(
        translated("claim {claim} at {gate_url}: off your list, never confirmed").format(
            claim=protection.claim, gate_url=protection.gate_url
        )
    )
    print_line(
        translated(
            "if the platform heard of it after all, it stops that file until somebody "
            "there ends it:\nwrite to them and name the claim {claim}, so note it down"
        ).format(claim=protection.claim)
    )


def _list_protections(context: typer.Context, *, ask: bool, as_json: bool) -> None:
    with opened_device(context) as device:
        noted = all_protections(device)
        known = (
            _refreshed_protections(noted, session_of(context).settings.proxy, device)
            if ask
            else noted
        )
    if as_json:
        _print_protections(known, as_json=True)
        return
    for one in known:
        print_line(
            f"{one.claim}  {kind_in_words(one.kind)}, {state_in_words(one)}  at {one.gate_url}"
        )
    if not known:
        print_line(translated("Nothing registered yet."))


def _refreshed_protections(
    known: Sequence[Protection], proxy: Proxy | None, device: Device
) -> Sequence[Protection]:
    """Ask for the current state of each registration; without an answer, show the last known one.

    An unreachable platform is asked only once, since the user is waiting.
    """
    unreachable_gates = Counter[str]()
    with ExitStack() as clients:
        client_of = cache(lambda url: clients.enter_context(open_registration_client(url, proxy)))
        answers = [
            _refreshed_or_last_known(one, client_of, unreachable_gates, device) for one in known
        ]
    for url, claims in unreachable_gates.items():
        if claims > 1:
            hint(
                translated(
                    "{url} did not answer, so its {count} claims are shown as this device last "
                    "knew them."
                ).format(count=claims, url=url)
            )
    return answers


def _refreshed_or_last_known(
    protection: Protection,
    client_of: Callable[[str], RegistrationClient],
    unreachable_gates: Counter[str],
    device: Device,
) -> Protection:
    if protection.gate_url in unreachable_gates:
        unreachable_gates[protection.gate_url] += 1
        return protection
    try:
        return refresh_protection(protection, client_of(protection.gate_url), device)
    except NoSuchClaim:
        hint(
            translated("{gate_url} has no claim {claim}.").format(
                gate_url=protection.gate_url, claim=protection.claim
            )
        )
    except EntrenousError as error:
        hint(join_wrapped_lines(str(error)))
        if isinstance(error, Unreachable):
            unreachable_gates[protection.gate_url] = 1
    return protection


def _protection_json(protection: Protection) -> dict[str, object]:
    state = "asked" if protection.state is None else protection.state.value
    return {
        "claim": protection.claim,
        "kind": protection.kind,
        "state": state,
        "gate": protection.gate_url,
    }


def _print_protection(protection: Protection, *, as_json: bool) -> None:
    if as_json:
        print_json({"schema": "entrenous/claim/1", **_protection_json(protection)})
    else:
        print_line(
            translated("claim {claim} at {gate_url}: {state}").format(
                claim=protection.claim,
                gate_url=protection.gate_url,
                state=state_in_words(protection),
            )
        )
        if protection.state is not ClaimState.WITHDRAWN:
            print_line(
                translated("take it back at any time: entrenous unprotect {claim}").format(
                    claim=protection.claim
                )
            )


def _print_protections(protections: Sequence[Protection], *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "schema": "entrenous/claims/1",
                "claims": [_protection_json(one) for one in protections],
            }
        )
        return
    for one in protections:
        _print_protection(one, as_json=False)
