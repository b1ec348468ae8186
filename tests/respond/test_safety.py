"""Tests of the questions about safety: reading the answers, and the advice that follows."""

from datetime import UTC, datetime

import pytest

from entrenous.respond.first_steps import safety_questions
from entrenous.respond.law.places import Place
from entrenous.respond.safety import (
    NonAnswer,
    SafetyAnswers,
    danger_advice,
    read_spread,
    read_yes_or_no,
    threat_advice,
    watched_advice,
)
from entrenous.respond.situation import Spread
from entrenous.respond.who_helps import HelpNeed

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("yes", True),
        ("Y", True),
        (" no ", False),
        ("", NonAnswer.SKIP),
        ("skip", NonAnswer.SKIP),
        ("I don\N{RIGHT SINGLE QUOTATION MARK}t know", NonAnswer.UNSURE),
        ("Maybe", NonAnswer.UNSURE),
        ("yess", NonAnswer.UNCLEAR),
        ("stop", NonAnswer.STOP),
        ("QUIT", NonAnswer.STOP),
    ],
)
def test_answer_to_a_yes_or_no_question_is_read(typed: str, answer: object) -> None:
    assert read_yes_or_no(typed) is answer


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("threat", Spread.THREAT),
        ("Group ", Spread.GROUP),
        ("", NonAnswer.SKIP),
        ("somebody threatens me", NonAnswer.UNCLEAR),
        ("stop", NonAnswer.STOP),
    ],
)
def test_answer_about_the_spread_is_read(typed: str, answer: object) -> None:
    assert read_spread(typed) is answer


def test_questions_are_in_order_and_each_says_why() -> None:
    questions = safety_questions()
    assert list(questions) == ["safe", "watched", "age", "posted"]
    assert all(question.why and question.asks.count("?") == 1 for question in questions.values())


def test_danger_advice_names_the_emergency_number_and_then_help_lines() -> None:
    text = list(danger_advice((Place("US"),), NOW, UTC))
    assert text[0].startswith("In danger (United States): call 911")
    joined = "\n".join(text)
    order = ["go to a place where you are safe", "National Sexual Assault Hotline", "FBI", "988"]
    assert [joined.index(words) for words in order] == sorted(joined.index(w) for w in order)


def test_danger_advice_without_a_place_names_worldwide_help() -> None:
    text = "\n".join(danger_advice((), NOW, UTC))
    assert "befrienders.org" in text
    assert "entrenous help --place" in text


def test_watched_person_is_advised_of_a_safer_device_before_any_change() -> None:
    text = "\n".join(watched_advice(NOW))
    assert text.index("on a safer device") < text.index("new passwords")
    assert "Plan first" in text


def test_threat_advice_says_what_to_do_and_what_to_save() -> None:
    text = "\n".join(threat_advice((Place("NG"),), NOW))
    assert text.index("Do not pay") < text.index("What to keep of the demand")
    assert text.endswith("entrenous help --place NG --threat")


def test_answers_determine_the_help_need() -> None:
    assert SafetyAnswers().need() == HelpNeed()
    answers = SafetyAnswers(safe=False, watched=True, posted=Spread.THREAT)
    assert answers.need() == HelpNeed(threat=True, danger=True, watched=True)
    assert SafetyAnswers(safe=True, watched=False).need(under_18=True) == HelpNeed(under_18=True)
