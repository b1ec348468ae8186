"""Put the person's answers about what happened into one sentence, so that they can check and change
them.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from entrenous.base.language import language_of_person, translatable, translated
from entrenous.respond.law.places import place_name
from entrenous.respond.platforms import find_platform
from entrenous.respond.situation import Demand, PictureMaker, Situation, Spread

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
_NAME_MUST_STAY_HIDDEN_TEXT: Final = translatable("the uploader must not learn your name")


def situation_in_words(situation: Situation) -> str:
    """Return the answers, with places and platform by name; "" if there are none.

    >>> said = Situation((), intimate=True, posted=Spread.THREAT, platform="instagram")
    >>> situation_in_words(said)
    'You said: nothing was shared yet; Instagram; it is intimate.'
    """
    facts = "; ".join(filter(None, _situation_facts(situation)))
    return translated("You said: {facts}.").format(facts=facts) if facts else ""


def _situation_facts(situation: Situation) -> Iterator[str]:
    language = language_of_person()
    yield ", ".join(place_name(place, language) for place in situation.places)
    yield from _known_answers(
        _SPREAD_TEXTS.get(situation.posted), _DEMAND_TEXTS.get(situation.demand)
    )
    record = find_platform(situation.platform) if situation.platform else None
    yield record.name if record else situation.platform
    yield from _known_answers(
        _INTIMATE_TEXTS.get(situation.intimate),
        _ALTERED_TEXTS.get(situation.altered),
        _TAKEN_BY_TEXTS.get(situation.taken_by),
        _SENDER_KNOWN_TEXTS.get(situation.recipient_known),
        _NAME_MUST_STAY_HIDDEN_TEXT if situation.name_must_stay_hidden else None,
    )


def _known_answers(*facts: str | None) -> Iterator[str]:
    yield from (translated(fact) for fact in facts if fact)
