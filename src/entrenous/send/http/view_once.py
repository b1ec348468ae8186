"""Open a message whose openings are counted, and show it in the system's browser."""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import BinaryIO, Final

from entrenous.base.errors import EntrenousError
from entrenous.base.language import translated
from entrenous.device.device import Device
from entrenous.send.http.view_pages import VIEW_PAGE_SECONDS, ViewedContent, ViewSession, view_app
from entrenous.send.letter.letter_nouns import ContentFile, Frame, FrameFile
from entrenous.send.message.states import UnsafeToShow, ViewNeverShown, ViewNotCompleted
from entrenous.send.message.transfer_progress import TransferWatch
from entrenous.send.open import WriteFile, download_message, open_message_to, unsafe_files
from entrenous.serving.http_server import bind_socket, make_server, url_of
from entrenous.serving.private_pages import open_browser
from entrenous.terminal.output import hint, print_line
from entrenous.terminal.progress_bars import stage_bars


@contextmanager
def serve_view(look: ViewSession) -> Iterator[str]:
    """Serve the page on the loopback interface inside the context; yields its address.

    Raises:
        AddressTaken: the program cannot listen on the loopback interface.
    """
    with bind_socket("127.0.0.1", 0) as taken:
        server = make_server(view_app(look, taken))
        thread = threading.Thread(target=server.run, args=([taken],), daemon=True)
        thread.start()
        try:
            yield f"{url_of(taken)}/{look.cover}"
        finally:
            look.end()
            server.should_exit = True
            thread.join()


_PRESS_TIMEOUT_S: Final = 600
_LOAD_TIMEOUT_S: Final = 60


def show_once(message: str, sender: str, device: Device) -> None:
    """Serve a page and wait; the relay is asked for its share only after *Show* is pressed there.

    Raises:
        ViewNeverShown: nobody pressed *Show*, so nothing was opened.
        ViewNotCompleted, UnsafeToShow: the message may be opened again.
        AddressTaken, and the errors of :func:`.open_message_to`.
    """
    with stage_bars() as shown:
        download_message(message, device, TransferWatch(shown.report_bytes))
    look = ViewSession(sender)
    with serve_view(look) as address:
        opened = open_browser(address)
        shown_at = translated("Look at it in a browser: {address}")
        if opened:
            shown_at = translated("Your browser shows it: {address}")
        print_line(shown_at.format(address=address))
        hint(
            translated(
                "The message counts as opened once you press Show on that page. Nothing of "
                "it is stored."
            )
        )
        look.asked.wait(_PRESS_TIMEOUT_S)
        if not look.asked.is_set() or look.over.is_set():
            raise ViewNeverShown(name=message)
        try:
            open_for_view(message, look, device)
        except BaseException as why:
            look.report_failure(
                why if isinstance(why, EntrenousError) else ViewNotCompleted(name=message)
            )
            raise
        look.over.wait(VIEW_PAGE_SECONDS)
    hint(translated("{message} was opened, and nothing of it was kept.").format(message=message))


def open_for_view(message: str, look: ViewSession, device: Device) -> None:
    """Open a message for a page to show. The opening counts once the page has requested
    every file.

    Raises ViewNotCompleted, UnsafeToShow, and the errors of :func:`.open_message_to`.
    """
    files = list[ContentFile]()

    def add_file(_number: int, file: FrameFile, fill: WriteFile) -> None:
        buffer = io.BytesIO()
        fill(buffer)
        files.append(ContentFile(file.media_type, buffer.getvalue(), file.role))

    def provide_and_await_page(frame: Frame) -> None:
        _refuse_unsafe_files(message, frame, files, device)
        look.provide_content(ViewedContent(frame.text, tuple(files)))
        look.loaded.wait(_LOAD_TIMEOUT_S)
        if not look.has_requested_all():
            raise ViewNotCompleted(name=message)

    open_message_to(message, add_file, device, tell=provide_and_await_page)


def _refuse_unsafe_files(
    message: str, frame: Frame, files: list[ContentFile], device: Device
) -> None:
    """Raise UnsafeToShow or DecoderDidNotStart if a file cannot be shown."""
    fills = [partial(_write_data, one.data) for one in files]
    if unsafe_files(list(zip(frame.files, fills, strict=True)), device):
        raise UnsafeToShow(name=message)


def _write_data(data: bytes, writer: BinaryIO) -> None:
    writer.write(data)
