"""``entrenous person verify``; QR codes as a file, on the terminal, or read from a picture."""

import io
from pathlib import Path
from typing import Annotated, Final

import segno
import typer

from entrenous.base.errors import shell_quoted
from entrenous.crypto.short_auth_string import ShortString
from entrenous.device.commands import opened_device
from entrenous.device.device import Device
from entrenous.media.sandbox.decoders import decode_untrusted
from entrenous.send.commands.catch_up import catch_up
from entrenous.send.flush import flush
from entrenous.send.people.compare_keys import (
    auth_string_with,
    code_for,
    compare_keys,
    confirm_match,
    read_code,
    report_mismatch,
    safety_number,
)
from entrenous.send.people.keep_contacts import mark_compared
from entrenous.send.people.people_nouns import Comparison, ComparisonStage, NoCode
from entrenous.terminal.output import hint, print_line
from entrenous.terminal.output_files import read_file, write_new

_WAITING = {
    ComparisonStage.BEGUN: "Asked. On {name}'s device: entrenous person verify YOU --sas",
    ComparisonStage.ANSWERED: (
        "Answered. As soon as {name}'s device has looked into its inbox, look again."
    ),
}


def verify(
    context: typer.Context,
    name: str,
    same: Annotated[bool, typer.Option("--same", help="It is the same on both devices.")] = False,
    sas: Annotated[
        bool, typer.Option("--sas", help="Compare seven pictures or three numbers instead.")
    ] = False,
    differs: Annotated[
        bool, typer.Option("--differs", help="With --sas: it is not the same on both devices.")
    ] = False,
    qr: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Show a code to their device: a PNG file, or -."),
    ] = None,
    scan: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A photo of the code on their screen, taken by you."),
    ] = None,
) -> None:
    """Make sure that nobody stands between you and somebody: compare what both devices show.

    Compare side by side or by voice; never by messages, which an attacker in between could change.
    Face to face, each of you shows a code (--qr) and photographs the other's (--scan).
    """
    if differs and (same or not sas):
        raise typer.BadParameter("--differs goes with --sas alone")
    by_code = qr is not None or scan is not None
    if by_code and (same or sas):
        raise typer.BadParameter("--qr and --scan go without --same and --sas")
    with opened_device(context) as device:
        if by_code:
            _by_code(name, device, qr, scan)
        elif sas:
            _by_signs(name, device, same=same, differs=differs)
        else:
            _by_number(name, device, same=same)


def _by_code(name: str, device: Device, qr: str | None, scan: Path | None) -> None:
    if scan is not None:
        contact = read_code(name, read_qr(read_file(scan)), device)
        print_line(f"Noted: {contact.name}'s keys are compared on this device.")
    if qr is None:
        return
    code = code_for(name, device)
    if qr == "-":
        print_line(qr_text(code))
    else:
        write_new(Path(qr), qr_picture(code))
    print_line(f"On {name}'s device: entrenous person verify YOU --scan PHOTO, of this code.")
    print_line(
        f"Then photograph the code there: entrenous person verify {shell_quoted(name)} --scan PHOTO"
    )


def _by_number(name: str, device: Device, *, same: bool) -> None:
    print_line(safety_number(name, device))
    if same:
        mark_compared(name, device)
        print_line(f"Noted: {name}'s keys are compared.")
    else:
        print_line(f"Compare it with the number on {name}'s device, side by side or by voice.")
        print_line(f"If it is the same: entrenous person verify {shell_quoted(name)} --same")


def _by_signs(name: str, device: Device, *, same: bool, differs: bool) -> None:
    catch_up(device)
    if differs:
        report_mismatch(name, device)
        print_line(f"Noted: {name}'s keys count as unknown. Somebody may stand between you.")
        print_line("Do not send them anything private before you have met and found out why.")
        return
    if same:
        _agree(name, device)
    else:
        _show(name, compare_keys(name, device), device)
    flush(device)


def _agree(name: str, device: Device) -> None:
    if confirm_match(name, device).compared:
        print_line(f"Noted: {name}'s keys are compared.")
    else:
        print_line(f"Noted. {name}'s keys count as compared as soon as {name} has said so too.")


def _show(name: str, comparing: Comparison, device: Device) -> None:
    if comparing.stage in _WAITING:
        print_line(_WAITING[comparing.stage].format(name=name))
        print_line(f"Then here: entrenous person verify {shell_quoted(name)} --sas")
        return
    _put(auth_string_with(name, device))
    hint(f"The same on {name}'s device: entrenous person verify {shell_quoted(name)} --sas --same")
    hint(f"Anything else: entrenous person verify {shell_quoted(name)} --sas --differs")


def _put(shown: ShortString) -> None:
    print_line("  ".join(f"{sign.emoji} {sign.name}" for sign in shown.signs))
    print_line("or in numbers: " + " ".join(map(str, shown.numbers)))


_PIXELS: Final = 8  # per square of the code
_SIDES_PX: Final = (1600, 1000, 640, 400)  # longest sides at which a code is searched


def qr_picture(link: str) -> bytes:
    """Return a QR code as a PNG that phones read from a screen (ISO/IEC 18004, correction M)."""
    file = io.BytesIO()
    segno.make(link, error="m", micro=False).save(file, kind="png", scale=_PIXELS)
    return file.getvalue()


def read_qr(untrusted_data: bytes) -> str:
    """Read the QR code in a picture. The file is decoded in the sandbox, and searched here at
    several sizes, since a code may be missed at one and found at another.

    Raises:
        NoCode, and the decoding errors, such as NotAPicture.
    """
    import cv2  # noqa: PLC0415 - only a code in a picture needs it
    import numpy as np  # noqa: PLC0415 - as above

    pixels = np.asarray(decode_untrusted(untrusted_data))
    for side_px in _SIDES_PX:
        factor = min(1.0, side_px / max(pixels.shape[:2]))
        smaller = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        for reader in (cv2.QRCodeDetector(), cv2.QRCodeDetectorAruco()):
            text, _, _ = reader.detectAndDecode(np.ascontiguousarray(smaller))
            if text:
                return str(text)
    raise NoCode


def qr_text(link: str) -> str:
    """Draw a QR code in half blocks for a dark terminal, two rows of squares a line, with a light
    frame.

    Correction L: an invite then fits 80 columns, and a screen has no scratches.
    """
    squares = [list(row) for row in segno.make(link, error="l", micro=False).matrix_iter(border=4)]
    if len(squares) % 2:
        squares.append([1] * len(squares[0]))
    pairs = zip(squares[::2], squares[1::2], strict=True)
    lines = ([_BLOCKS[square] for square in zip(*pair, strict=True)] for pair in pairs)
    return "\n".join(map("".join, lines))


_BLOCKS: Final = {(0, 0): "█", (0, 1): "▀", (1, 0): "▄", (1, 1): " "}
