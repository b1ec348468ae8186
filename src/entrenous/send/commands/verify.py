"""``entrenous person verify``."""

from pathlib import Path
from typing import Annotated

import typer

from entrenous.base.errors import quote_for_shell
from entrenous.base.language import translatable, translated
from entrenous.crypto.short_auth_string import ShortAuthString
from entrenous.device.commands import opened_device
from entrenous.device.device import Device
from entrenous.send.commands.catch_up import fetch_and_print_notices
from entrenous.send.flush import flush_outbox
from entrenous.send.people.compare_keys import (
    accept_qr_code,
    auth_string_with,
    begin_or_answer_comparison,
    confirm_match,
    qr_code_text_for,
    record_mismatch,
    safety_number,
)
from entrenous.send.people.keep_contacts import mark_keys_compared
from entrenous.send.people.people_nouns import ComparisonStage, KeyComparisonInProgress
from entrenous.send.people.qr_codes import qr_picture, qr_terminal_text, read_qr_code
from entrenous.terminal.output import hint, print_line
from entrenous.terminal.output_files import read_file, write_new

_COMPARISON_STAGE_SENTENCES = {
    ComparisonStage.BEGUN: translatable(
        "Asked. On {name}'s device: entrenous person verify YOU --sas"
    ),
    ComparisonStage.ANSWERED: (
        translatable("Answered. As soon as {name}'s device has looked into its inbox, look again.")
    ),
}


def verify(
    context: typer.Context,
    name: str,
    same: Annotated[
        bool,
        typer.Option("--same", help="The number or the pictures are the same on both devices."),
    ] = False,
    sas: Annotated[
        bool, typer.Option("--sas", help="Compare seven pictures or three numbers instead.")
    ] = False,
    differs: Annotated[
        bool, typer.Option("--differs", help="With --sas: the pictures or numbers differ.")
    ] = False,
    qr: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Show a code for their camera: a PNG file, or - for this terminal."
        ),
    ] = None,
    scan: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Your photo of the code on their screen."),
    ] = None,
) -> None:
    """Make sure that nobody intercepts the messages between you and somebody: compare what both
    devices show.

    Compare side by side or by voice; never by messages, which an attacker in between could change.
    Face to face, each of you shows a code (--qr) and photographs the other's (--scan).
    """
    if differs and (same or not sas):
        raise typer.BadParameter(translated("--differs goes with --sas alone"))
    by_code = qr is not None or scan is not None
    if by_code and (same or sas):
        raise typer.BadParameter(translated("--qr and --scan go without --same and --sas"))
    with opened_device(context) as device:
        if by_code:
            _verify_by_code(name, device, qr, scan)
        elif sas:
            _verify_by_short_auth_string(name, device, same=same, differs=differs)
        else:
            _verify_by_number(name, device, same=same)


def _verify_by_code(name: str, device: Device, qr: str | None, scan: Path | None) -> None:
    if scan is not None:
        contact = accept_qr_code(name, read_qr_code(read_file(scan)), device)
        print_line(
            translated("Noted: {name}'s keys are compared on this device.").format(
                name=contact.name
            )
        )
    if qr is None:
        return
    code = qr_code_text_for(name, device)
    if qr == "-":
        print_line(qr_terminal_text(code))
    else:
        write_new(Path(qr), qr_picture(code))
    print_line(
        translated(
            "On {name}'s device: entrenous person verify YOU --scan PHOTO, of this code."
        ).format(name=name)
    )
    print_line(
        translated(
            "Then photograph the code there: entrenous person verify {name} --scan PHOTO"
        ).format(name=quote_for_shell(name))
    )


def _verify_by_number(name: str, device: Device, *, same: bool) -> None:
    print_line(safety_number(name, device))
    if same:
        mark_keys_compared(name, device)
        print_line(translated("Noted: {name}'s keys are compared.").format(name=name))
    else:
        print_line(
            translated(
                "Compare it with the number on {name}'s device, side by side or by voice."
            ).format(name=name)
        )
        print_line(
            translated("If it is the same: entrenous person verify {name} --same").format(
                name=quote_for_shell(name)
            )
        )


def _verify_by_short_auth_string(name: str, device: Device, *, same: bool, differs: bool) -> None:
    fetch_and_print_notices(device)
    if differs:
        record_mismatch(name, device)
        print_line(
            translated(
                "Noted: {name}'s keys count as unknown. Somebody may stand between you."
            ).format(name=name)
        )
        print_line(
            translated("Do not send them anything private before you have met and found out why.")
        )
        return
    if same:
        _confirm_match(name, device)
    else:
        _print_comparison(name, begin_or_answer_comparison(name, device), device)
    flush_outbox(device)


def _confirm_match(name: str, device: Device) -> None:
    if confirm_match(name, device).compared:
        print_line(translated("Noted: {name}'s keys are compared.").format(name=name))
    else:
        print_line(
            translated(
                "Noted. {name}'s keys count as compared as soon as {name} has said so too."
            ).format(name=name)
        )


def _print_comparison(name: str, comparing: KeyComparisonInProgress, device: Device) -> None:
    if comparing.stage in _COMPARISON_STAGE_SENTENCES:
        print_line(translated(_COMPARISON_STAGE_SENTENCES[comparing.stage]).format(name=name))
        print_line(
            translated("Then here: entrenous person verify {name} --sas").format(
                name=quote_for_shell(name)
            )
        )
        return
    _print_short_auth_string(auth_string_with(name, device))
    hint(
        translated(
            "If {name}'s device shows the same: entrenous person verify {typed} --sas --same"
        ).format(name=name, typed=quote_for_shell(name))
    )
    hint(
        translated(
            "If it shows anything else: entrenous person verify {name} --sas --differs"
        ).format(name=quote_for_shell(name))
    )


def _print_short_auth_string(shown: ShortAuthString) -> None:
    print_line("  ".join(f"{sign.emoji} {translated(sign.name)}" for sign in shown.named_emoji))
    numbers = " ".join(map(str, shown.numbers))
    print_line(translated("or in numbers: {numbers}").format(numbers=numbers))
