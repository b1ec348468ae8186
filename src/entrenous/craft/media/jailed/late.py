"""What PyAV imports only when a file first has need of it, for the children of clips and sounds."""

from importlib import import_module
from typing import Final

# With the first file, with the first track of text, and with the first text decoded. Behind the
# walls it is too late: no file can be opened, and a sound with subtitles would count as broken.
_LATE_IMPORTS: Final = ("av.subtitles.stream", "av.subtitles.codeccontext", "av.subtitles.subtitle")


def import_late() -> None:
    """Import all of it, as long as files can be opened."""
    for module in _LATE_IMPORTS:
        import_module(module)
