"""Open a message whose openings are counted on a page of its own; nothing of it is written."""

import io
from functools import partial
from typing import BinaryIO, Final

from entrenous.faces.cli.bars import bars
from entrenous.faces.cli.look.app import VIEW_S
from entrenous.faces.cli.look.serving import open_browser, serving
from entrenous.faces.cli.look.session import Look, Shown
from entrenous.faces.cli.output import hint, say
from entrenous.model.errors import EntrenousError
from entrenous.model.letter import ContentFile, Frame, FrameFile
from entrenous.model.opening import NotLookedAt, NotSeen, UnsafeToShow
from entrenous.ports import Device
from entrenous.send.message.checked import unsafe_files
from entrenous.send.message.watch import Watch
from entrenous.send.open import Fill, download_message, open_message_to

_PRESS_S: Final = 600
_LOAD_S: Final = 60


def look_at(message: str, sender: str, device: Device) -> None:
    """Serve a page and wait: the relay is asked for its share when *Show* is pressed there.

    Raises:
        NotLookedAt: nobody pressed it, so nothing was opened.
        NotSeen, UnsafeToShow: it may be opened again.
        AddressTaken; what :func:`.open_message_to` raises.
    """
    with bars() as shown:
        download_message(message, device, Watch(shown.reached))
    look = Look(sender)
    with serving(look) as address:
        opened = open_browser(address)
        say(f"{'Your browser shows it' if opened else 'Look at it in a browser'}: {address}")
        hint("It counts as opened once you press Show there. Nothing of it is written here.")
        look.asked.wait(_PRESS_S)
        if not look.asked.is_set() or look.over.is_set():
            raise NotLookedAt(name=message)
        try:
            _open(message, look, device)
        except BaseException as why:
            look.fail(why if isinstance(why, EntrenousError) else NotSeen(name=message))
            raise
        look.over.wait(VIEW_S)
    hint(f"{message} was opened, and nothing of it was kept.")


def _open(message: str, look: Look, device: Device) -> None:
    files = list[ContentFile]()

    def show(_number: int, file: FrameFile, fill: Fill) -> None:
        held = io.BytesIO()
        fill(held)
        files.append(ContentFile(file.media_type, held.getvalue(), file.role))

    def tell(frame: Frame) -> None:
        _refuse_unsafe(message, frame, files, device)
        look.show(Shown(frame.text, tuple(files)))
        look.loaded.wait(_LOAD_S)
        if not look.saw_all():
            raise NotSeen(name=message)

    open_message_to(message, show, device, tell=tell)


def _refuse_unsafe(message: str, frame: Frame, files: list[ContentFile], device: Device) -> None:
    """Raises UnsafeToShow, DecoderDidNotStart."""
    fills = [partial(_fill, one.data) for one in files]
    if unsafe_files(list(zip(frame.files, fills, strict=True)), device):
        raise UnsafeToShow(name=message)


def _fill(data: bytes, writer: BinaryIO) -> None:
    writer.write(data)
