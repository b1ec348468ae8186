"""``entrenous evidence pack`` and ``check``: hand evidence over, and check what was handed over."""

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, BinaryIO, Final

import typer

from entrenous.base.language import translatable, translated
from entrenous.base.secret import Secret
from entrenous.device.commands import opened_device
from entrenous.respond.client.stamp_authority import verify_stamp
from entrenous.respond.packs.hand_over import (
    check_received_pack,
    encrypt_pack_for,
    read_recipient_key,
)
from entrenous.respond.packs.make_pack import Pack, make_pack_for_court, make_pack_for_platform
from entrenous.terminal.output import print_json, print_line
from entrenous.terminal.output_files import FileGroup, read_file
from entrenous.terminal.session import EXIT_NO, EXIT_YES
from entrenous.terminal.typed_input import JsonFlag

_KEY_NEEDED_ERROR: Final = translatable(
    "a pack for a court or the police needs --to with the recipient's public key, "
    "so that nobody else can open the pack; a pack for a platform needs none. If "
    "you have no such key, export single items, to show or hand over: entrenous "
    "evidence export CASE NUMBER --out DIR"
)


class PackRecipientKind(StrEnum):
    """Who gets a pack."""

    PLATFORM = "platform"
    COURT = "court"
    POLICE = "police"  # the same pack as for a court


def pack(
    context: typer.Context,
    name: str,
    recipient_kind: Annotated[
        PackRecipientKind,
        typer.Option(
            "--for", help="Who gets it: a platform (no pictures), or a court or the police."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write to.")],
    to: Annotated[
        str | None,
        typer.Option(
            metavar="RECIPIENT",
            help="For a court or the police: their age or SSH key, or a file with it.",
        ),
    ] = None,
    notice: Annotated[
        list[int] | None,
        typer.Option(metavar="NUMBER", help="For a platform: the number of a letter to it."),
    ] = None,
    sighting: Annotated[
        list[int] | None,
        typer.Option(
            metavar="NUMBER",
            help="For a platform: a sighting to name instead of those in the letter.",
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Write a case's evidence to one file that its recipient can check, and note it in the case."""
    if (recipient_kind is PackRecipientKind.PLATFORM) == (to is not None):
        raise typer.BadParameter(translated(_KEY_NEEDED_ERROR))
    if to is not None and (notice or sighting):
        raise typer.BadParameter(
            translated(
                "only a pack for a platform has --notice and --sighting; other packs contain "
                "everything"
            )
        )
    written = FileGroup()
    with opened_device(context) as device, written.remove_on_failure(lambda: False):
        if to is not None:
            key = read_recipient_key(to)
            place = out / f"{name}-for-{recipient_kind}.zip.age"
            made_pack = make_pack_for_court(
                name, key, device, verify_stamp, partial(_write_encrypted_pack, written, place, key)
            )
        else:
            place = out / f"{name}-for-platform.zip"
            chosen = (tuple(notice or ()), tuple(sighting or ()))
            made_pack = make_pack_for_platform(
                name, *chosen, device, partial(_write_pack, written, place)
            )
    fingerprint = made_pack.fingerprint.hex()
    if as_json:
        shown = {"file": str(place), "files": sorted(made_pack.files), "fingerprint": fingerprint}
        print_json({"schema": "entrenous/evidence-pack/1", "for": recipient_kind.value, **shown})
        return
    print_line(translated("wrote {place}").format(place=place))
    print_line(
        translated(
            "The fingerprint of this pack, to pass on over another channel: {fingerprint}"
        ).format(fingerprint=fingerprint)
    )
    if to is not None:
        print_line(
            translated(
                "Only the holder of that key can open it. cover.pdf in it says what it proves."
            )
        )
    else:
        print_line(translated("No picture is in it. README.txt in it says what it proves."))


def _write_encrypted_pack(written: FileGroup, path: Path, key: str, made_pack: Pack) -> None:
    _write_pack_file(written, path, encrypt_pack_for(key, made_pack.zipped()))


def _write_pack(written: FileGroup, path: Path, made_pack: Pack) -> None:
    _write_pack_file(written, path, made_pack.zipped())


def _write_pack_file(written: FileGroup, path: Path, data: bytes) -> None:
    def write_pack_bytes(file: BinaryIO) -> None:
        file.write(data)

    written.add(path, len(data), write_pack_bytes)
    written.write()


def check(
    pack: Annotated[
        Path, typer.Argument(help="The pack: a file, or the folder it was unpacked to.")
    ],
    identity: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Your age identity or SSH private key, to decrypt it."),
    ] = None,
    ca: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The root certificates that you trust for stamps, in PEM."
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Check a pack that you were given; no device is needed. Exit status 1: it is not valid."""
    key = None if identity is None else Secret(read_file(identity))
    place = pack if pack.is_dir() else read_file(pack)
    checked = check_received_pack(place, key, None if ca is None else read_file(ca))
    if as_json:
        print_json(
            {
                "schema": "entrenous/pack-check/1",
                "holds": checked.holds,
                "fingerprint": checked.fingerprint,
                "ca": "from the pack" if ca is None else "given",
                "checks": [{"holds": good, "what": what} for good, what in checked.checks],
                "absent": list(checked.absent),
                "stamps": list(checked.stamps),
            }
        )
    else:
        for line in checked.lines():
            print_line(line)
    raise typer.Exit(EXIT_YES if checked.holds else EXIT_NO)
