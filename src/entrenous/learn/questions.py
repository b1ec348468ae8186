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
from entrenous.learn.facts import CheckUpQuestion, QuestionAnswer, shipped_questions

THREAT_QUESTION: Final = "threat"
#: The command that shows help for somebody who is threatened; the person runs it.
HELP_COMMAND: Final = "entrenous help --threat"
SKIP_KEY: Final = "skip"
HELP_FIRST_SENTENCES: Final = (
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
    """Return the questions in the order in which they are asked; the question about a threat is the
    last.
    """
    return _questions_in(language_of_person())


@cache
def _questions_in(language: str) -> tuple[CheckUpQuestion, ...]:
    with speaking(language):
        return tuple(map(_translated_question, shipped_questions().question))


def _translated_question(question: CheckUpQuestion) -> CheckUpQuestion:
    """Return a question in the person's language."""
    fields = {name: translated(getattr(question, name)) for name in _TRANSLATED_FIELDS}
    answers = tuple(replace(one, says=translated(one.says)) for one in question.answers)
    return replace(question, **fields, answers=answers)


_TRANSLATED_FIELDS: Final = ("question", "why", "closes", "step", "undo")


def threat_help_text() -> tuple[str, ...]:
    """Return the sentences that are shown to somebody who is threatened."""
    return tuple(translated(line).format(help=HELP_COMMAND) for line in HELP_FIRST_SENTENCES)


def read_answers(data: bytes) -> dict[str, str]:
    """Parse an answers file. Return the key of the answer for the id of each question that was not
    skipped.

    Raises BadAnswers.
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
        if key != SKIP_KEY and answer_of(known[name], key) is None:
            raise BadAnswers(why=translated("{name} has no such answer").format(name=name))
    return {name: key for name, key in given.items() if key != SKIP_KEY}


def answer_of(question: CheckUpQuestion, key: str) -> QuestionAnswer | None:
    """Return the answer with this key; None if there is none."""
    return next((one for one in question.answers if one.key == key), None)


def is_threatened(answers: Mapping[str, str]) -> bool:
    return answers.get(THREAT_QUESTION) == "yes"
