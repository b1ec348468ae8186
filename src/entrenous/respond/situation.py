"""What a person says about a leak or a threat: the facts that decide which routes apply.

docs/spec/case.md section 4 defines each answer.
"""

from dataclasses import dataclass
from enum import StrEnum

from entrenous.respond.law.places import Place


class PictureMaker(StrEnum):
    """Who took the picture, and so who owns its copyright."""

    ME = "me"
    SOMEBODY_ELSE = "somebody else"
    UNSAID = "unsaid"


class Spread(StrEnum):
    """How far the picture has spread. THREAT means that nothing has been shared yet."""

    PUBLIC = "public"
    GROUP = "group"
    PRIVATE = "private"
    THREAT = "threat"


class Demand(StrEnum):
    """What somebody demands in return for not sharing the picture."""

    NONE = "none"
    MONEY = "money"
    PICTURES = "pictures"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Situation:
    """The facts that decide which routes apply. Every question may be left unanswered.

    Attributes:
        places: where the person lives.
        platform_in: where the platform is established.
        platform: the id of a platform record, e.g. "instagram", or "".
        platform_kind: the kind of a platform that has no record, e.g. "messenger", or "".
        posted: how far the picture has spread.
        demand: what is demanded from the person.
        intimate: whether the picture is nude, sexual or otherwise intimate.
        altered: whether software made or changed the picture.
        depicts_me: whether the picture shows the person.
        taken_by: who took the picture.
        recipient_known: whether the person knows who passed the picture on or makes threats.
        on_behalf: whether somebody acts for the person shown, with that person's consent.
        name_must_stay_hidden: whether the uploader must not learn the person's name, for safety.
        language: the language of letters, an IETF tag; "" for the person's own.
    """

    places: tuple[Place, ...]
    intimate: bool | None = None
    altered: bool | None = None
    taken_by: PictureMaker = PictureMaker.UNSAID
    name_must_stay_hidden: bool = False
    language: str = ""
    platform_in: Place | None = None
    platform: str = ""
    platform_kind: str = ""
    posted: Spread | None = None
    demand: Demand | None = None
    depicts_me: bool | None = None
    recipient_known: bool | None = None
    on_behalf: bool = False
