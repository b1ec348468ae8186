"""The person's answers about what happened in one sentence, to check and change them."""

from collections.abc import Iterator, Mapping
from typing import Final

from entrenous.base.language import language_of_person, translatable, translated
from entrenous.respond.law.places import place_name
from entrenous.respond.platforms import find_platform
from entrenous.respond.situation import Demand, PictureMaker, Situation, Spread

_POSTED: Final[Mapping[Spread | None, str]] = {
    Spread.PUBLIC: translatable("anybody can see it"),
    Spread.GROUP: translatable("it is in a group chat"),
    Spread.PRIVATE: translatable("it was sent from person to person"),
    Spread.THREAT: translatable("nothing was shared yet"),
}
_DEMAND: Final[Mapping[Demand | None, str]] = {
    Demand.MONEY: translatable("money is demanded"),
    Demand.PICTURES: translatable("more pictures are demanded"),
    Demand.OTHER: translatable("something is demanded"),
}
_TAKEN: Final[Mapping[PictureMaker, str]] = {
    PictureMaker.ME: translatable("you took it"),
    PictureMaker.SOMEBODY_ELSE: translatable("somebody else took it"),
}
_SENDER: Final[Mapping[bool | None, str]] = {
    True: translatable("you know who passed it on or threatens"),
    False: translatable("you do not know who passed it on or threatens"),
}
_INTIMATE: Final[Mapping[bool | None, str]] = {
    True: translatable("it is intimate"),
    False: translatable("it is not intimate"),
}
_ALTERED: Final[Mapping[bool | None, str]] = {
    True: translatable("software made or changed it"),
    False: translatable("it is real"),
}
_HIDE: Final = translatable("the uploader must not learn your name")


def situation_in_words(said: Situation) -> str:
    """Return the answers, with places and platform by name; "" if there are none.

    >>> said = Situation((), intimate=True, posted=Spread.THREAT, platform="instagram")
    >>> situation_in_words(said)
    'You said: nothing was shared yet; Instagram; it is intimate.'
    """
    facts = "; ".join(filter(None, _situation_facts(said)))
    return translated("You said: {facts}.").format(facts=facts) if facts else ""


def _situation_facts(said: Situation) -> Iterator[str]:
    language = language_of_person()
    yield ", ".join(place_name(place, language) for place in said.places)
    yield from _known_answers(_POSTED.get(said.posted), _DEMAND.get(said.demand))
    record = find_platform(said.platform) if said.platform else None
    yield record.name if record else said.platform
    yield from _known_answers(
        _INTIMATE.get(said.intimate),
        _ALTERED.get(said.altered),
        _TAKEN.get(said.taken_by),
        _SENDER.get(said.recipient_known),
        _HIDE if said.name_must_stay_hidden else None,
    )


def _known_answers(*facts: str | None) -> Iterator[str]:
    yield from (translated(fact) for fact in facts if fact)
