"""The questions of the check-up, and the answers file of scripts and of the web app
(docs/spec/learn.md section 2).
"""

from collections.abc import Mapping
from functools import cache
from typing import Final, Literal

import msgspec
from msgspec.structs import replace

from entrenous.base.errors import Malformed
from entrenous.base.language import language_of_person, speaking, translatable, translated
from entrenous.learn.facts import Answer, CheckUpQuestion, shipped_questions

THREAT: Final = "threat"
#: The command that helps under a threat; it belongs to another verb, and the person runs it.
HELP: Final = "entrenous help --threat"
SKIP: Final = "skip"
HELP_FIRST: Final = (
    translatable(
        "Then help comes first, and no setting has to be changed now: somebody who watches may"
        " see it."
    ),
    translatable("Type: {help}"),
    translatable("You can come back to the check-up at any time."),
)


class BadAnswers(Malformed):
    """These answers cannot be used: {why}. Nothing was stored. To list the questions and their
    answers: entrenous check-up --questions
    """


class _AnswersFile(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    schema: Literal["entrenous/check-up-answers/1"]
    answers: dict[str, str]


def all_questions() -> tuple[CheckUpQuestion, ...]:
    """Return the questions in the order in which they are asked; the threat is the last."""
    return _questions_in(language_of_person())


@cache
def _questions_in(language: str) -> tuple[CheckUpQuestion, ...]:
    with speaking(language):
        return tuple(map(_translated_question, shipped_questions().question))


def _translated_question(asked: CheckUpQuestion) -> CheckUpQuestion:
    """Return a question in the person's language."""
    words = {name: translated(getattr(asked, name)) for name in _WORDS}
    answers = tuple(replace(one, says=translated(one.says)) for one in asked.answers)
    return replace(asked, **words, answers=answers)


_WORDS: Final = ("question", "why", "closes", "step", "undo")


def threat_help_text() -> tuple[str, ...]:
    """Return the sentence that is shown under a threat."""
    return tuple(translated(line).format(help=HELP) for line in HELP_FIRST)


def read_answers(data: bytes) -> dict[str, str]:
    """Parse an answers file: the key of an answer for each question's id; skipped ones are left
    out. Raises BadAnswers.
    """
    try:
        given = msgspec.json.decode(data, type=_AnswersFile).answers
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise BadAnswers(why="the file has another form") from None
    known = {one.id: one for one in all_questions()}
    for number, (name, key) in enumerate(given.items(), 1):
        if name not in known:
            raise BadAnswers(
                why=translated("number {number} answers no question").format(number=number)
            )
        if key != SKIP and answer_of(known[name], key) is None:
            raise BadAnswers(why=translated("{name} has no such answer").format(name=name))
    return {name: key for name, key in given.items() if key != SKIP}


def answer_of(question: CheckUpQuestion, key: str) -> Answer | None:
    """Return the answer with this key; None if there is none."""
    return next((one for one in question.answers if one.key == key), None)


def is_threatened(answers: Mapping[str, str]) -> bool:
    return answers.get(THREAT) == "yes"
