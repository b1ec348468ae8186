"""The answers to paste into a platform's report form, filled in from a case.

They claim only what the person said; if something is not known, the question itself stays, in
brackets.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from entrenous.base.language import (
    language_of_person,
    moment_in_words,
    translatable,
    translated,
)
from entrenous.respond.law.places import Place, place_name
from entrenous.respond.nouns import Sighting, SightingReach
from entrenous.respond.platforms import FormAnswerKind, host_of
from entrenous.respond.situation import Demand, Situation, Spread


@dataclass(frozen=True, slots=True)
class FormAnswer:
    """One question of a form, and what to paste or do; ``gap`` means that only the person can fill
    it in.

    ``paste`` may have several lines.
    """

    asks: str
    paste: str
    gap: bool = False


def what_to_have_ready(sightings: tuple[Sighting, ...]) -> tuple[tuple[str, FormAnswerKind], ...]:
    """Return what the person should have ready for a form whose questions are not recorded."""
    private = bool(sightings) and all(one.reach is SightingReach.PRIVATE for one in sightings)
    where = (
        (translated("the chat"), FormAnswerKind.CHAT)
        if private
        else (translated("the link of each place"), FormAnswerKind.LINKS)
    )
    return (
        where,
        (translated("the account that showed it"), FormAnswerKind.ACCOUNT),
        (translated("what happened"), FormAnswerKind.WHY),
    )


def form_answer(
    asks: str, paste: FormAnswerKind, situation: Situation, sightings: tuple[Sighting, ...]
) -> FormAnswer:
    words = (
        _ANSWER_WRITERS[paste](situation, sightings)
        if paste in _ANSWER_WRITERS
        else translated(_FIXED_ANSWERS.get(paste, ""))
    )
    return FormAnswer(asks, words or f"[{asks}]", gap=not words)


def _sighting_links(_: Situation, sightings: tuple[Sighting, ...]) -> str:
    return "\n".join(
        dict.fromkeys(one.where for one in sightings if one.reach is SightingReach.PUBLIC)
    )  # without repetitions


def _chat_names(_: Situation, sightings: tuple[Sighting, ...]) -> str:
    return "\n".join(
        dict.fromkeys(one.where for one in sightings if one.reach is SightingReach.PRIVATE)
    )


def _account_names(_: Situation, sightings: tuple[Sighting, ...]) -> str:
    return "\n".join(dict.fromkeys(one.handle for one in sightings if one.handle))


def _sighting_domains(_: Situation, sightings: tuple[Sighting, ...]) -> str:
    return "\n".join(dict.fromkeys(filter(None, (host_of(one.where) for one in sightings))))


def _country_names(situation: Situation, _: tuple[Sighting, ...]) -> str:
    countries = dict.fromkeys(Place(place.partition("-")[0]) for place in situation.places)
    return ", ".join(place_name(country, language_of_person()) for country in countries)


def _real_or_altered(situation: Situation, _: tuple[Sighting, ...]) -> str:
    if situation.altered is None:
        return ""
    return (
        translated("It was made or changed by software.")
        if situation.altered
        else translated("It is real.")
    )


def _who_is_shown(situation: Situation, _: tuple[Sighting, ...]) -> str:
    if situation.on_behalf:
        return translated("I act for the person shown, with their consent.")
    return translated("It shows me.") if situation.depicts_me else ""


def _what_happened(situation: Situation, sightings: tuple[Sighting, ...]) -> str:
    """Say, in the first person, what happened; only claims that the person made are included."""
    is_threat = situation.posted is Spread.THREAT
    whom = _depicted_person(situation)
    texts = _WHAT_HAPPENED_TEXTS if whom else _WHAT_HAPPENED_TO_UNNAMED_TEXTS
    first = translated(texts[is_threat, bool(situation.intimate)]).format(whom=whom)
    kind = translated("It was made or changed by software.") if situation.altered else ""
    demand = translated(
        (_CURRENT_DEMAND_TEXTS if is_threat else _PAST_DEMAND_TEXTS).get(situation.demand, "")
    )
    days = "\n".join(_first_seen_day(one) for one in sightings)
    return "\n".join(filter(None, (first, kind, demand, days)))


def _depicted_person(situation: Situation) -> str:
    """Return who is shown, or "" if the person did not say."""
    if situation.on_behalf:
        return translated("the person I act for")
    if situation.depicts_me is None:
        return ""
    return translated("me") if situation.depicts_me else translated("another person")


def _first_seen_day(sighting: Sighting) -> str:
    return translated("I saw it on {moment}.").format(
        moment=moment_in_words(sighting.first_seen_at)
    )


def _message_text(situation: Situation, sightings: tuple[Sighting, ...]) -> str:
    links = _sighting_links(situation, sightings) or translated("[the link of each place]")
    return f"{_what_happened(situation, sightings)}\n{links}"


# the key: whether this is a threat, and whether the picture is intimate
_WHAT_HAPPENED_TEXTS: Final = {
    (True, True): translatable("Somebody threatens to share an intimate picture of {whom}."),
    (True, False): translatable("Somebody threatens to share a private picture of {whom}."),
    (False, True): translatable("An intimate picture of {whom} was shared here without consent."),
    (False, False): translatable("A private picture of {whom} was shared here without consent."),
}
_WHAT_HAPPENED_TO_UNNAMED_TEXTS: Final = {
    (True, True): translatable("Somebody threatens to share an intimate picture."),
    (True, False): translatable("Somebody threatens to share a private picture."),
    (False, True): translatable("An intimate picture was shared here without consent."),
    (False, False): translatable("A private picture was shared here without consent."),
}
_CURRENT_DEMAND_TEXTS: Final[Mapping[Demand | None, str]] = {
    Demand.MONEY: translatable("Money is demanded so that it is not shared."),
    Demand.PICTURES: translatable("More pictures are demanded so that it is not shared."),
    Demand.OTHER: translatable("Something is demanded so that it is not shared."),
}
_PAST_DEMAND_TEXTS: Final[Mapping[Demand | None, str]] = {
    Demand.MONEY: translatable("Money was demanded from me."),
    Demand.PICTURES: translatable("More pictures were demanded from me."),
    Demand.OTHER: translatable("Something was demanded from me."),
}
_FIXED_ANSWERS: Final[Mapping[FormAnswerKind, str]] = {
    FormAnswerKind.PROOF: translatable(
        "a screenshot with the picture covered, or nothing; do not send the picture again"
    ),
    FormAnswerKind.CONFIRM: translatable("confirm it only if it is true"),
    FormAnswerKind.CHOOSE: translatable("choose what the form offers for this"),
}
_ANSWER_WRITERS: Final[
    Mapping[FormAnswerKind, Callable[[Situation, tuple[Sighting, ...]], str]]
] = {
    FormAnswerKind.LINKS: _sighting_links,
    FormAnswerKind.ACCOUNT: _account_names,
    FormAnswerKind.CHAT: _chat_names,
    FormAnswerKind.DOMAIN: _sighting_domains,
    FormAnswerKind.COUNTRY: _country_names,
    FormAnswerKind.WHY: _what_happened,
    FormAnswerKind.MESSAGE: _message_text,
    FormAnswerKind.WHOSE: _who_is_shown,
    FormAnswerKind.KIND: _real_or_altered,
}
