"""How much of a blob came (docs/spec/relay.md section 4)."""

from entrenous.craft.wire.relay.strict import Count, Strict, from_json, to_json


class _Upload(Strict, frozen=True):
    came: Count
    size: Count


def write_upload(came: int, size: int) -> bytes:
    """The relay's answer, in bytes."""
    return to_json(_Upload(came, size))


def read_upload(untrusted_body: bytes) -> tuple[int, int]:
    """How many bytes came, of how many; raises NotUnderstood."""
    upload = from_json(_Upload, untrusted_body)
    return upload.came, upload.size
