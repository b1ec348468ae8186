"""Tests that each fact lengthens the text about a situation. Without facts, the text is empty."""

from dataclasses import fields

import pytest

from entrenous.respond.law.places import Place
from entrenous.respond.situation import Demand, PictureMaker, Situation, Spread, situation_in_words

ALL_FACTS = {
    "places": (Place("NG"),),
    "intimate": False,
    "altered": True,
    "taken_by": PictureMaker.ME,
    "name_must_stay_hidden": True,
    "platform": "instagram",
    "posted": Spread.GROUP,
    "demand": Demand.MONEY,
    "recipient_known": False,
    "depicts_me": False,
    "platform_in": Place("US"),
}


@pytest.mark.parametrize("left_out", sorted(ALL_FACTS))
def test_every_stated_fact_adds_to_the_text(left_out: str) -> None:
    whole = situation_in_words(Situation(**ALL_FACTS))  # type: ignore[arg-type]
    less = {"places": (), **{key: value for key, value in ALL_FACTS.items() if key != left_out}}
    assert left_out in {field.name for field in fields(Situation)}
    assert len(situation_in_words(Situation(**less))) < len(whole)  # type: ignore[arg-type]
    assert "Nigeria; it is in a group chat; money is demanded; Instagram" in whole


def test_empty_situation_has_no_text() -> None:
    assert situation_in_words(Situation(())) == ""
