"""One byte form for one value: the part of RFC 8785 (JSON Canonicalization Scheme) that we use.

Maps with ASCII keys, lists, text, whole numbers, booleans and null; no fractions, whose canonical
form is the hard part of the RFC. Whatever gets hashed or stamped goes through here, so that a
stranger can rebuild the same bytes with any JSON library.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

_WHOLE_MAX: Final = 2**53 - 1  # RFC 8785 section 3.2.2.3: numbers are IEEE 754 doubles


def canonical_json(value: object) -> bytes:
    """The UTF-8 bytes of ``value``: keys sorted, no blanks.

    Raises:
        ValueError: a fraction, a whole number beyond 2**53 - 1, a key that is not ASCII text, a
            lone surrogate, or something that JSON does not have.

    >>> canonical_json({"b": [1, None], "a": "é"}).decode()
    '{"a":"é","b":[1,null]}'
    """
    _check(value)
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return text.encode()


def read_canonical(untrusted_data: bytes) -> Any:
    """The value whose canonical form these bytes are; raises ValueError for every other bytes."""
    try:
        value = json.loads(untrusted_data.decode())
        again = canonical_json(value)  # takes a few levels more than reading did
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if again != untrusted_data:
        raise ValueError("not in canonical form")
    return value


def _check(value: object) -> None:
    if isinstance(value, Mapping):
        for key, part in value.items():
            if not (isinstance(key, str) and key.isascii()):
                raise ValueError("a key must be ASCII text")
            _check(part)
    elif isinstance(value, list | tuple):
        for part in value:
            _check(part)
    elif isinstance(value, int):
        if abs(value) > _WHOLE_MAX:
            raise ValueError("a whole number must stay within 2**53 - 1")
    elif not (value is None or isinstance(value, str)):
        raise ValueError(f"{type(value).__name__} has no canonical form here")
