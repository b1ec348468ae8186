"""``entrenous fingerprint``."""

from pathlib import Path

import typer

from entrenous.base.language import translated
from entrenous.fingerprint.pdq import fingerprint as fingerprint_of
from entrenous.media.sandbox.decoders import decode_picture_untrusted
from entrenous.terminal.output import print_json, print_line
from entrenous.terminal.output_files import read_file
from entrenous.terminal.typed_input import JsonFlag


def add_commands(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command("fingerprint")(print_fingerprint)


def print_fingerprint(
    file: Path,
    as_json: JsonFlag = False,
) -> None:
    """Print the picture's PDQ fingerprint, as platforms compare it; nothing leaves this device."""
    found = fingerprint_of(decode_picture_untrusted(read_file(file)))
    if as_json:
        print_json(
            {
                "schema": "entrenous/fingerprint/1",
                "kind": found.kind,
                "hex": found.hex,
                "quality": found.quality,
            }
        )
        return
    print_line(
        translated("{hex}  (PDQ, quality {quality} of 100)").format(
            hex=found.hex, quality=found.quality
        )
    )
