"""What a client says of a content besides its hash: a note, its own name for it, on or off."""

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

from entrenous.faces.gate.hma.errors import BadParameter, Missing, NotOffered
from entrenous.faces.gate.hma.params import member
from entrenous.model.listing import CONTENT_ID_CHARS_MAX

NOTE_CHARS_MAX: Final = 255
LONGEST_OFF: Final = timedelta(days=5 * 365)
_OFF, _ON = 0, 1  # what is no time, of "disable_until_ts"
_NO_COIN: Final = (
    "No coin is flipped here: a bank is acted on, or it is in shadow and only written down. Send "
    '"enabled_ratio" 1 or 0, or ask a share of your uploads yourself.'
)


@dataclass(frozen=True, slots=True)
class Said:
    """Of a new content: ``note`` is kept as its reason, ``content_id`` beside it; "" for none."""

    note: str
    content_id: str

    @classmethod
    def of(cls, untrusted_note: object, untrusted_metadata: object) -> Self:
        """Of metadata, ``content_id`` alone is kept, and the rest not looked at.

        Raises:
            BadParameter.
        """
        metadata = {} if untrusted_metadata is None else untrusted_metadata
        if not isinstance(metadata, dict):
            raise BadParameter(why='"metadata" is a JSON object')
        content_id = metadata.get("content_id")
        return cls(_note(untrusted_note), "" if content_id is None else _content_id(content_id))


@dataclass(frozen=True, slots=True)
class Changed:
    """A change of a content: ``on`` and ``note`` stay as they are where they are None; ``until`` is
    when it is on again, None for not by itself.
    """

    on: bool | None = None
    until: datetime | None = None
    note: str | None = None

    @classmethod
    def of(cls, wanted: dict[str, Any], now: datetime) -> Self:
        """From the body of a PUT; raises Missing, BadParameter."""
        note = _note(wanted["note"]) if "note" in wanted else None
        if "disable_until_ts" not in wanted:
            if note is None:
                raise Missing(name="disable_until_ts")
            return cls(note=note)
        at_s = member(wanted, "disable_until_ts", int)
        if not 0 <= at_s <= (now + LONGEST_OFF).timestamp():
            raise BadParameter(why='"disable_until_ts" is 0, 1, or a time within five years')
        if at_s == _OFF:
            return cls(on=False, note=note)
        until = datetime.fromtimestamp(at_s, UTC)
        if at_s == _ON or until <= now:
            return cls(on=True, note=note)
        return cls(on=False, until=until, note=note)


def parsed(untrusted_json: str) -> object:
    """A parameter that holds JSON; None for an empty one. Raises BadParameter."""
    try:
        return json.loads(untrusted_json) if untrusted_json else None
    except (ValueError, RecursionError) as problem:
        raise BadParameter(why='"metadata" is no JSON') from problem


def ratio_of(untrusted_ratio: object) -> float:
    """0 or 1; raises NotOffered for what lies between, BadParameter for what is none."""
    try:
        ratio = float(str(untrusted_ratio))
    except ValueError:
        ratio = math.nan
    if isinstance(untrusted_ratio, bool) or not 0 <= ratio <= 1:
        raise BadParameter(why='"enabled_ratio" is a number from 0 to 1')
    if 0 < ratio < 1:
        raise NotOffered(instead=_NO_COIN)
    return ratio


def _note(untrusted_note: object) -> str:
    if untrusted_note is None:
        return ""
    if not isinstance(untrusted_note, str) or len(untrusted_note) > NOTE_CHARS_MAX:
        raise BadParameter(why=f'"note" is text of at most {NOTE_CHARS_MAX} characters')
    return untrusted_note


def _content_id(untrusted_id: object) -> str:
    text = str(untrusted_id) if isinstance(untrusted_id, int) else untrusted_id
    if not isinstance(text, str) or len(text) > CONTENT_ID_CHARS_MAX or not text.isprintable():
        what = f"text of at most {CONTENT_ID_CHARS_MAX} printable characters"
        raise BadParameter(why=f'"content_id" of the metadata is {what}')
    return text
