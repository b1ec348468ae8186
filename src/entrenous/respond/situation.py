"""What a person says about a leak or a threat: the facts that decide which routes apply.

docs/spec/routes.md section 1 explains most of the answers. This module also puts the answers into
one sentence, so that the person can check and change them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from entrenous.base.language import language_of_person, translatable, translated
from entrenous.respond.law.places import Place, place_name
from entrenous.respond.platforms import find_platform


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
        language: the person's language for letters, an IETF tag; "" means the language of the
            program's messages.
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


_SPREAD_TEXTS: Final[Mapping[Spread | None, str]] = {
    Spread.PUBLIC: translatable("anybody can see it"),
    Spread.GROUP: translatable("it is in a group chat"),
    Spread.PRIVATE: translatable("it was sent from person to person"),
    Spread.THREAT: translatable("nothing was shared yet"),
}
_DEMAND_TEXTS: Final[Mapping[Demand | None, str]] = {
    Demand.MONEY: translatable("money is demanded"),
    Demand.PICTURES: translatable("more pictures are demanded"),
    Demand.OTHER: translatable("something is demanded"),
}
_TAKEN_BY_TEXTS: Final[Mapping[PictureMaker, str]] = {
    PictureMaker.ME: translatable("you took it"),
    PictureMaker.SOMEBODY_ELSE: translatable("somebody else took it"),
}
_SENDER_KNOWN_TEXTS: Final[Mapping[bool | None, str]] = {
    True: translatable("you know who passed it on or threatens"),
    False: translatable("you do not know who passed it on or threatens"),
}
_INTIMATE_TEXTS: Final[Mapping[bool | None, str]] = {
    True: translatable("it is intimate"),
    False: translatable("it is not intimate"),
}
_ALTERED_TEXTS: Final[Mapping[bool | None, str]] = {
    True: translatable("software made or changed it"),
    False: translatable("it is real"),
}
_DEPICTS_ME_TEXTS: Final[Mapping[bool | None, str]] = {
    True: translatable("the picture shows you"),
    False: translatable("the picture shows somebody else"),
}
_NAME_MUST_STAY_HIDDEN_TEXT: Final = translatable("the uploader must not learn your name")


def situation_in_words(situation: Situation) -> str:
    """Return most of the answers in one sentence, with places and platform by name; "" if none of
    them was given.

    >>> said = Situation((), intimate=True, posted=Spread.THREAT, platform="instagram")
    >>> situation_in_words(said)
    'You said: nothing was shared yet; Instagram; it is intimate.'
    """
    facts = "; ".join(filter(None, _situation_phrases(situation)))
    return translated("You said: {facts}.").format(facts=facts) if facts else ""


def _situation_phrases(situation: Situation) -> Iterator[str]:
    language = language_of_person()
    yield ", ".join(place_name(place, language) for place in situation.places)
    yield from _translated_answers(
        _SPREAD_TEXTS.get(situation.posted), _DEMAND_TEXTS.get(situation.demand)
    )
    record = find_platform(situation.platform) if situation.platform else None
    yield record.name if record else situation.platform
    if situation.platform_in:
        yield translated("the platform's company is based in {place}").format(
            place=place_name(situation.platform_in, language)
        )
    yield from _translated_answers(
        _DEPICTS_ME_TEXTS.get(situation.depicts_me),
        _INTIMATE_TEXTS.get(situation.intimate),
        _ALTERED_TEXTS.get(situation.altered),
        _TAKEN_BY_TEXTS.get(situation.taken_by),
        _SENDER_KNOWN_TEXTS.get(situation.recipient_known),
        _NAME_MUST_STAY_HIDDEN_TEXT if situation.name_must_stay_hidden else None,
    )


def _translated_answers(*facts: str | None) -> Iterator[str]:
    yield from (translated(fact) for fact in facts if fact)
