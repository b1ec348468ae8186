"""``entrenous case add``: add a place where the picture was seen, a statement, or a file.

A file may be a page that was saved from a browser with the folder of its files.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import quote, urlsplit

import typer

from entrenous.base.language import translated
from entrenous.device.commands import opened_device
from entrenous.device.device import Device
from entrenous.respond.capture.saved_page import (
    describe_complete_page,
    describe_file,
    refers_to_folder,
)
from entrenous.respond.case_file import find_case
from entrenous.respond.commands.case_view import print_case_or_json
from entrenous.respond.nouns import Sighting, SightingReach
from entrenous.respond.open_case import (
    EVIDENCE_ITEM_BYTES_MAX,
    TooLargeToKeep,
    TooManySavedFiles,
    add_file,
    add_sighting,
    add_statement,
)
from entrenous.respond.platforms import PlatformRecord
from entrenous.respond.report_steps import report_destinations
from entrenous.terminal.media_files import read_nonempty_file
from entrenous.terminal.output_files import read_file
from entrenous.terminal.typed_input import (
    STDIN_OPTION_ADVICE,
    JsonFlag,
    read_typed_line,
    read_typed_text,
    refuse_two_stdin_options,
    time_option,
)

# what stands in a file's name for a byte that is not UTF-8
_BYTE_OF_OTHER_ENCODING: Final = re.compile(r"[\ud800-\udfff]")
_SAVED_PAGE_FILES_MAX: Final = 5000
_BYTES_PER_MB: Final = 1024 * 1024
_ZIP_ENTRY_TIME: Final = datetime(
    1980, 1, 1, tzinfo=UTC
)  # fixed, so that the same page always gives the same bytes


def add(
    context: typer.Context,
    name: str,
    file: Annotated[
        Path | None, typer.Argument(help="A screenshot or another file to store.")
    ] = None,
    what: Annotated[
        str,
        typer.Option(
            metavar="-|TEXT", help=f"What the file shows, in a line. {STDIN_OPTION_ADVICE}"
        ),
    ] = "",
    url: Annotated[
        str | None,
        typer.Option(
            metavar="-|URL", help=f"Address of a page where you saw it. {STDIN_OPTION_ADVICE}"
        ),
    ] = None,
    chat: Annotated[
        str | None,
        typer.Option(
            metavar="-|TEXT", help=f"The chat where you saw it, in words. {STDIN_OPTION_ADVICE}"
        ),
    ] = None,
    handle: Annotated[
        str,
        typer.Option(metavar="-|NAME", help=f"The account it was shown at. {STDIN_OPTION_ADVICE}"),
    ] = "",
    captured_by: Annotated[
        str,
        typer.Option(
            metavar="-|TEXT", help=f"Who made this web archive (WACZ). {STDIN_OPTION_ADVICE}"
        ),
    ] = "",
    seen_at: Annotated[
        datetime | None, time_option("When you first saw it, in UTC; now if left out.")
    ] = None,
    statement: Annotated[
        str | None,
        typer.Option(metavar="-|TEXT", help=f"What you want to note. {STDIN_OPTION_ADVICE}"),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Add a place where you saw it, a file, or a statement. The address is not opened."""
    refuse_two_stdin_options(
        what=what,
        url=url,
        chat=chat,
        handle=handle,
        statement=statement,
        captured_by=captured_by,
    )
    if captured_by and file is None:
        raise typer.BadParameter(translated("--captured-by goes with a web archive (WACZ)"))
    captured_by = read_typed_line(captured_by, translated("Who made it"), context)
    what = read_typed_line(what, translated("What the file shows"), context) if what else ""
    url = None if url is None else read_typed_line(url, translated("Address"), context)
    chat, statement = (
        read_typed_text(chat, translated("The chat"), context),
        read_typed_text(statement, translated("Note"), context),
    )
    handle = read_typed_line(handle, translated("The account"), context)
    if url and urlsplit(url).scheme not in {"http", "https"}:
        raise typer.BadParameter(
            translated(
                "an address for --url begins with http:// or https://; for any other place, "
                "use --chat"
            )
        )
    if file is None and not (url or chat or statement):
        raise typer.BadParameter(translated("give a file, --url, --chat or --statement"))
    data, kind = (None, "") if file is None else read_file_or_saved_page(file)
    with opened_device(context) as device:
        platforms: tuple[PlatformRecord, ...] = ()
        with device.vault.transaction():
            moment = seen_at or device.clock.now()
            for where, reach in ((url, SightingReach.PUBLIC), (chat, SightingReach.PRIVATE)):
                if where:
                    case = add_sighting(name, Sighting(where, reach, moment, handle), device)
                    platforms += report_destinations(replace(case, sightings=case.sightings[-1:]))
            if statement:
                add_statement(name, statement, device)
            if data is not None and captured_by:
                _add_second_capture(name, data, captured_by, device)
            elif data is not None:
                add_file(name, data, what or kind, device)
        # Outside the transaction, so that a closed output does not undo the addition.
        print_case_or_json(find_case(name, device), device, as_json=as_json, steps_for=platforms)


def _add_second_capture(name: str, data: bytes, who: str, device: Device) -> None:
    from entrenous.respond.capture import second_capture  # noqa: PLC0415 -- loads warcio

    second_capture.add_second_capture(name, data, who, device)


def read_file_or_saved_page(path: Path) -> tuple[bytes, str]:
    """Return a file's bytes, and a description of what it is. A page saved as "web page, complete"
    becomes one ZIP of the page and its files.

    Raises:
        EmptyFile, TooLargeToKeep, TooManySavedFiles, and the errors of
            :func:`.output_files.read_file`.
    """
    data = read_nonempty_file(path)
    what = describe_file(data)
    folder = _folder_of_saved_page(path, data) if "HTML" in what else None
    if folder is None:
        return data, what
    from entrenous.respond.capture.web_archive import uncompressed_zip  # noqa: PLC0415 -- loads warcio

    files = dict(_files_below(folder, len(data)))
    page = uncompressed_zip({_utf8_name(path.name): data, **files}, _ZIP_ENTRY_TIME)
    return page, describe_complete_page(len(files))


def _folder_of_saved_page(path: Path, page: bytes) -> Path | None:
    """Return the folder from which a saved page loads files. The folder's name begins with the
    page's name.
    """
    beside = sorted(one for one in path.parent.glob("*") if one.is_dir() and not one.is_symlink())
    for folder in beside:
        if folder.name.startswith(path.stem) and refers_to_folder(page, _utf8_name(folder.name)):
            return folder
    return None


def _files_below(folder: Path, total_bytes: int) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the content of every file below a folder, in order; links are skipped."""
    files = sorted(one for one in folder.rglob("*") if one.is_file() and not one.is_symlink())
    for number, file in enumerate(files):
        data = read_file(file)
        total_bytes += len(data)
        if number >= _SAVED_PAGE_FILES_MAX:
            raise TooManySavedFiles(limit=_SAVED_PAGE_FILES_MAX)
        if total_bytes > EVIDENCE_ITEM_BYTES_MAX:
            raise TooLargeToKeep(
                size_mb=total_bytes // _BYTES_PER_MB,
                limit_mb=EVIDENCE_ITEM_BYTES_MAX // _BYTES_PER_MB,
            )
        yield _utf8_name(file.relative_to(folder.parent).as_posix()), data


def _utf8_name(name: str) -> str:
    """Return a file's name with %XX for each byte that is not UTF-8, as in web addresses. So it can
    be written into a ZIP file, and names that differ stay different.
    """
    return _BYTE_OF_OTHER_ENCODING.sub(lambda found: quote(os.fsencode(found[0])), name)
