"""Convert the blob streams of a courier to bytes, so that tests can change and replay blobs."""

import io
from collections.abc import Callable
from typing import Any, BinaryIO

from entrenous.base.identifiers import BlobId
from entrenous.base.secret import Secret
from entrenous.device.device import Courier

AnswerCall = Callable[[str, tuple[Any, ...]], Any]


class BytesCourier:
    """An honest courier with a method ``blob``, which downloads a blob and returns its bytes."""

    def __init__(self, courier: Courier) -> None:
        self._courier = courier

    def blob(self, url: str, blob: BlobId, fetch_token: Secret) -> bytes:
        content = io.BytesIO()
        self._courier.download_blob(url, blob, fetch_token, content)
        return content.getvalue()

    def __getattr__(self, call: str) -> Any:
        return getattr(self._courier, call)


def courier_method(call: str, answer_call: AnswerCall) -> Callable[..., Any]:
    """Return a replacement for the courier's method ``call``, which asks ``answer_call`` instead.

    ``answer_call`` takes and returns blobs as bytes. The replacement reads and writes streams.
    """

    def download_blob(
        url: str, blob: BlobId, fetch_token: Secret, writer: BinaryIO, start: int = 0
    ) -> None:
        writer.write(answer_call("blob", (url, blob, fetch_token))[start:])

    def upload_blob(
        url: str, token: Secret, deposit: Any, data: bytes | BinaryIO, start: int = 0
    ) -> Any:
        if not isinstance(data, bytes):
            data.seek(0)
            data = data.read()
        return answer_call("upload_blob", (url, token, deposit, data, start))

    special = {"download_blob": download_blob, "upload_blob": upload_blob}
    return special.get(call) or (lambda *arguments: answer_call(call, arguments))
