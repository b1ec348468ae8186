"""``entrenous evidence capture``: fetch a page once, and keep what the site sent."""

import time
from datetime import timedelta
from typing import Annotated

import typer

from entrenous.base.language import translated
from entrenous.device.commands import opened_device
from entrenous.device.device import Device
from entrenous.respond.case_file import find_open_case
from entrenous.respond.commands.case_view import print_case_answer
from entrenous.respond.commands.watch import agree_first
from entrenous.respond.open_case import CAPTURE_PURPOSE
from entrenous.terminal.session import session_of
from entrenous.terminal.typed_input import STDIN_OPTION_ADVICE, Json, read_typed_line


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
    ] = CAPTURE_PURPOSE,
    yes: Annotated[
        bool, typer.Option("--yes", help="You agree to what the site sees, and are not asked.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Capture a page as evidence: what the site sent, its certificate and the time."""
    from entrenous.respond.capture.capture_page import (  # noqa: PLC0415 -- loads warcio
        CaptureContext,
        capture_page,
    )
    from entrenous.respond.client.public_web import PublicWeb  # noqa: PLC0415 -- loads httpx

    why = read_typed_line(why, translated("What for"), context)
    proxy = session_of(context).settings.proxy
    by_proxy = proxy is not None
    with opened_device(context) as device:
        find_open_case(name, device)  # nothing about anybody under 18 is requested
        agree_first(device, by_proxy=by_proxy, yes=yes)
        web = PublicWeb(proxy, records=True)
        capture_context = CaptureContext(
            web, time.monotonic, time.sleep, _local_offset(device), by_proxy
        )
        case = capture_page(name, sighting, why, capture_context, device)
        print_case_answer(case, device, as_json=as_json)


def _local_offset(device: Device) -> timedelta:
    return device.clock.now().astimezone().utcoffset() or timedelta(0)
