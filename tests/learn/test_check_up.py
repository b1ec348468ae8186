"""Tests of the check-up's findings: their leak paths, order, steps and words."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.program import ProgramVersion
from entrenous.base.secret import Secret
from entrenous.learn.check_up import (
    CheckUpFinding,
    CheckUpInput,
    CheckUpResult,
    LeakPathState,
    _limit_steps,
    passphrase_guesses_log10,
    run_check_up,
)
from entrenous.learn.facts import (
    ADVISED_STEPS_MAX,
    THREAT_HELP_COMMAND,
    all_questions,
    shipped_check_up_order,
    shipped_questions,
)
from entrenous.learn.picture_places import PicturesFound
from entrenous.learn.this_machine import MachineFacts, SyncedVaultOrExport, SystemVersion

TODAY = date(2026, 11, 30)
DEBIAN = SystemVersion("debian", "13", "Debian GNU/Linux 13 (trixie)")
SAFE_MACHINE = MachineFacts(
    "Linux",
    "/home/ana/entrenous",
    (),
    disk_encrypted=True,
    version=DEBIAN,
    program=ProgramVersion("0.1.0", "0123456789ab"),
    updated_on=TODAY,
    synced=(),
)
STRONG_PASSPHRASE = Secret(b"teapot violin marmot gravel canoe")
MACHINE_CHECKS = {
    "passphrase",
    "program",
    "system",
    "vault files",
    "synced folders",
    "disk encryption",
}
SAFE_ANSWERS = {
    one.id: next(a.key for a in one.answers if a.path == "closed") for one in all_questions()
}


def check_up_result(
    facts: MachineFacts = SAFE_MACHINE,
    passphrase: Secret | None = STRONG_PASSPHRASE,
    answers: Mapping[str, str] | None = None,
    pictures: PicturesFound | None = None,
    today: date = TODAY,
) -> CheckUpResult:
    return run_check_up(CheckUpInput(facts, today, passphrase, pictures, answers or {}))


def path_states(
    facts: MachineFacts, passphrase: Secret | None = STRONG_PASSPHRASE
) -> dict[str, LeakPathState]:
    return {one.check: one.path for one in check_up_result(facts, passphrase).advice}


def finding_for(check: str, result: CheckUpResult) -> CheckUpFinding:
    return next(one for one in result.advice if one.check == check)


def test_safe_machine_needs_no_step_and_only_its_program_path_is_not_closed() -> None:
    found = check_up_result()
    closed = {one.check for one in found.advice if one.path is LeakPathState.CLOSED}
    # The check-up cannot see whether a newer version exists.
    assert closed == MACHINE_CHECKS - {"program"}
    assert not found.has_step
    assert {one.undo for one in found.advice} == {None}


@pytest.mark.parametrize(
    ("facts", "check", "path_state"),
    [
        (
            replace(SAFE_MACHINE, open_to_others=(".", "vault.db")),
            "vault files",
            LeakPathState.OPEN,
        ),
        (replace(SAFE_MACHINE, open_to_others=None), "vault files", LeakPathState.UNKNOWN),
        (replace(SAFE_MACHINE, disk_encrypted=False), "disk encryption", LeakPathState.OPEN),
        (replace(SAFE_MACHINE, disk_encrypted=None), "disk encryption", LeakPathState.UNKNOWN),
        (
            replace(SAFE_MACHINE, version=SystemVersion("debian", "11", "Debian 11")),
            "system",
            LeakPathState.OPEN,
        ),
        (
            replace(SAFE_MACHINE, version=SystemVersion("haiku", "1", "Haiku R1")),
            "system",
            LeakPathState.UNKNOWN,
        ),
        (
            replace(SAFE_MACHINE, updated_on=TODAY - timedelta(days=181)),
            "program",
            LeakPathState.OPEN,
        ),
        (
            replace(
                SAFE_MACHINE,
                synced=(SyncedVaultOrExport("Dropbox", "the vault", "/home/ana/Dropbox/e"),),
            ),
            "synced folders",
            LeakPathState.OPEN,
        ),
    ],
)
def test_open_or_unknown_fact_changes_only_its_own_leak_path_and_gives_a_step(
    facts: MachineFacts, check: str, path_state: LeakPathState
) -> None:
    assert path_states(facts) == {**path_states(SAFE_MACHINE), check: path_state}
    advice = finding_for(check, check_up_result(facts))
    assert advice.next_step
    # The finding says how to undo the step only if the path is open.
    assert bool(advice.undo) is (path_state is LeakPathState.OPEN)
    assert advice.closes


@pytest.mark.parametrize(
    ("facts", "check"),
    [
        (replace(SAFE_MACHINE, version=None), "system"),
        (replace(SAFE_MACHINE, updated_on=None), "program"),
        (replace(SAFE_MACHINE, synced=None), "synced folders"),
    ],
)
def test_missing_fact_makes_its_path_unknown(facts: MachineFacts, check: str) -> None:
    assert path_states(facts)[check] is LeakPathState.UNKNOWN


@pytest.mark.parametrize(
    ("passphrase", "path_state"),
    [
        (b"password1", LeakPathState.OPEN),
        (b"qwertyuiop12", LeakPathState.OPEN),
        (b"", LeakPathState.OPEN),
        (b"aaaaaaaaaaaaaaaaaaaaaaaaaaaa", LeakPathState.OPEN),
        (b"teapot violin marmot gravel canoe", LeakPathState.CLOSED),
        (b"x7#Kq9!mZp2$Lw", LeakPathState.CLOSED),
        ("żółw kaczka świerszcz młyn".encode(), LeakPathState.CLOSED),
    ],
)
def test_passphrase_is_judged_by_its_guessability(
    passphrase: bytes, path_state: LeakPathState
) -> None:
    assert path_states(SAFE_MACHINE, Secret(passphrase))["passphrase"] is path_state


def test_without_a_passphrase_the_passphrase_path_is_unknown() -> None:
    assert path_states(SAFE_MACHINE, None)["passphrase"] is LeakPathState.UNKNOWN


@given(st.text(min_size=8, max_size=90))
def test_result_never_contains_the_passphrase(passphrase: str) -> None:
    shown = repr(check_up_result(passphrase=Secret(passphrase.encode())))
    assert passphrase not in shown or passphrase in repr(check_up_result())


def test_only_the_first_72_characters_of_a_passphrase_count() -> None:
    assert passphrase_guesses_log10(Secret(b"a" * 72 + b"x7#Kq9!mZp2$Lw")) < 10


def test_open_paths_come_first_and_then_unknown_paths() -> None:
    found = check_up_result(replace(SAFE_MACHINE, open_to_others=None, disk_encrypted=False)).advice
    order = [one.path for one in found]
    assert order == sorted(
        order, key=[LeakPathState.OPEN, LeakPathState.UNKNOWN, LeakPathState.CLOSED].index
    )


def test_open_paths_are_in_the_shipped_order() -> None:
    answers = {"lock-screen": "yes", "email-second-step": "no", "passcode": "yes"}
    found = check_up_result(replace(SAFE_MACHINE, disk_encrypted=False), answers=answers).advice
    opened = [one.check for one in found if one.path is LeakPathState.OPEN]
    assert opened == ["email-second-step", "passcode", "lock-screen", "disk encryption"]


def test_shipped_order_has_every_check_and_question_but_the_threat_once_with_a_reason() -> None:
    named = [one.id for one in shipped_check_up_order()]
    expected = MACHINE_CHECKS | {"pictures with a place"} | {one.id for one in all_questions()}
    assert sorted(named) == sorted(expected - {"threat"})
    assert all(len(one.reason.split()) > 4 for one in shipped_check_up_order())


def test_at_most_three_open_files_are_named() -> None:
    facts = replace(SAFE_MACHINE, open_to_others=tuple(f"file{n}" for n in range(9)))
    said = finding_for("vault files", check_up_result(facts)).found
    assert said == "Others may open: file0, file1, file2 and 6 more."


@given(st.lists(st.booleans(), max_size=12))
def test_at_most_five_steps_are_advised_and_no_finding_is_lost(have_steps: list[bool]) -> None:
    before = [
        CheckUpFinding(str(n), LeakPathState.OPEN, "closes", "found", "step" if with_step else None)
        for n, with_step in enumerate(have_steps)
    ]
    after = _limit_steps(before)
    assert [one.check for one in after] == [one.check for one in before]
    assert sum(one.next_step is not None for one in after) == min(
        sum(have_steps), ADVISED_STEPS_MAX
    )


def test_five_steps_with_undo_are_advised_if_more_than_five_paths_are_open() -> None:
    every_open = {
        one.id: next(a.key for a in one.answers if a.path == "open")
        for one in all_questions()
        if one.id != "threat"
    }
    open_machine = MachineFacts("Linux", "/h", ("vault.db",), disk_encrypted=False, version=None)
    found = check_up_result(open_machine, Secret(b"password1"), every_open)
    have_steps = [one for one in found.advice if one.next_step]
    # The fifth check, "system", advises no step, because the version of the system is unknown.
    first = [one.id for one in shipped_check_up_order()][:4]
    assert [one.check for one in have_steps] == [*first, "passphrase"]
    assert all(one.undo for one in have_steps)


def test_result_of_a_safe_machine_contains_no_score_grade_or_risk() -> None:
    text = " ".join(one.found + (one.next_step or "") for one in check_up_result().advice)
    assert not any(word in text.lower() for word in ("score", "grade", "%", "risk", "danger"))


# The last days on which systems get updates.


@pytest.mark.parametrize(
    ("version", "today", "path_state", "words"),
    [
        (DEBIAN, date(2030, 6, 30), LeakPathState.CLOSED, "until 30 June 2030"),
        (DEBIAN, date(2030, 7, 1), LeakPathState.OPEN, "on 30 June 2030"),
        (SystemVersion("ubuntu", "24.04", ""), TODAY, LeakPathState.CLOSED, "31 May 2029"),
        (SystemVersion("ubuntu", "20.04", ""), TODAY, LeakPathState.OPEN, "Ubuntu Pro"),
        (SystemVersion("fedora", "43", ""), date(2026, 12, 10), LeakPathState.OPEN, "Fedora 43"),
        (
            SystemVersion("macos", "13", ""),
            TODAY,
            LeakPathState.OPEN,
            "Apple publishes no such days",
        ),
        (SystemVersion("windows", "19045", ""), TODAY, LeakPathState.OPEN, "14 October 2025"),
        (SystemVersion("windows", "26100", ""), TODAY, LeakPathState.OPEN, "13 October 2026"),
        (
            SystemVersion("windows", "26100", "", True),
            TODAY,
            LeakPathState.CLOSED,
            "12 October 2027",
        ),
    ],
)
def test_a_system_is_judged_by_its_last_day_of_updates(
    version: SystemVersion, today: date, path_state: LeakPathState, words: str
) -> None:
    advice = finding_for(
        "system", check_up_result(replace(SAFE_MACHINE, version=version), today=today)
    )
    assert advice.path is path_state
    assert words in advice.found
    assert advice.source is not None
    assert advice.source in advice.found
    assert advice.read_on == date(2026, 11, 30)


def test_finding_says_if_the_support_end_was_read_more_than_180_days_ago() -> None:
    soon, late = TODAY + timedelta(days=180), TODAY + timedelta(days=181)
    assert "180 days" not in finding_for("system", check_up_result(today=soon)).found
    assert "more than 180 days ago" in finding_for("system", check_up_result(today=late)).found


@pytest.mark.parametrize(
    "synced", [(), (SyncedVaultOrExport("Dropbox", "the vault", "/home/ana/Dropbox/e"),)]
)
def test_finding_says_if_the_synchronized_folders_were_read_more_than_180_days_ago(
    synced: tuple[SyncedVaultOrExport, ...],
) -> None:
    facts = replace(SAFE_MACHINE, synced=synced)
    soon, late = (
        finding_for("synced folders", check_up_result(facts, today=TODAY + timedelta(days=days)))
        for days in (180, 181)
    )
    assert late.found.removeprefix(soon.found).endswith("180 days old: update Entrenous.")


def test_finding_says_if_the_fact_of_a_question_was_read_more_than_180_days_ago() -> None:
    for key in ("yes", "no"):
        soon, late = (
            finding_for(
                "passcode",
                check_up_result(answers={"passcode": key}, today=TODAY + timedelta(days=days)),
            )
            for days in (180, 181)
        )
        assert "180 days" not in soon.found
        assert "more than 180 days ago" in late.found
        assert late.source is not None
        assert late.source in late.found


# Pictures whose metadata says where they were taken.


@pytest.mark.parametrize(
    ("pictures", "path_state", "words"),
    [
        (PicturesFound("d", 7, ("a.jpg", "b.jpg"), 0, whole=True), LeakPathState.OPEN, "2 of 7"),
        (PicturesFound("d", 7, (), 0, whole=True), LeakPathState.CLOSED, "None of 7"),
        (PicturesFound("d", 7, (), 2, whole=True), LeakPathState.UNKNOWN, "2 could not be read"),
        (PicturesFound("d", 7, (), 0, whole=False), LeakPathState.UNKNOWN, "the rest was left out"),
    ],
)
def test_pictures_with_a_place_are_counted_and_not_named(
    pictures: PicturesFound, path_state: LeakPathState, words: str
) -> None:
    advice = finding_for("pictures with a place", check_up_result(pictures=pictures))
    assert advice.path is path_state
    assert words in advice.found
    assert "a.jpg" not in advice.found


# The questions that the check-up asks.


def test_twelve_questions_begin_with_email_and_end_with_the_threat() -> None:
    ids = [one.id for one in all_questions()]
    assert len(ids) == len(set(ids)) == 12
    assert ids[0] == "email-second-step"
    assert ids[-1] == "threat"


@pytest.mark.parametrize("question", all_questions(), ids=lambda one: one.id)
def test_finding_follows_the_answer_to_each_question_but_the_threat(question: object) -> None:
    one = next(q for q in all_questions() if q is question)
    assert {a.path for a in one.answers} >= {"open", "closed"}
    if one.id == "threat":
        return
    for answer in one.answers:
        advice = finding_for(one.id, check_up_result(answers={one.id: answer.key}))
        assert advice.path.value == answer.path
        assert (advice.next_step is None) is (answer.path == "closed")
        assert (advice.undo is None) is (answer.path == "closed")
        assert answer.says in advice.found
        assert (advice.closes, advice.source) == (one.closes, one.source)
        assert advice.read_on == shipped_questions().read_on


def test_skipped_questions_get_no_finding() -> None:
    assert {one.check for one in check_up_result().advice} == MACHINE_CHECKS
    answered = check_up_result(answers={"passcode": "no"})
    assert {one.check for one in answered.advice} == MACHINE_CHECKS | {"passcode"}


def test_safe_answers_to_all_questions_need_no_step() -> None:
    assert not check_up_result(answers=SAFE_ANSWERS).has_step


def test_answer_that_reports_a_threat_gives_only_the_help_command() -> None:
    answers = {"unknown-sessions": "yes", "threat": "yes"}
    found = check_up_result(replace(SAFE_MACHINE, disk_encrypted=False), answers=answers)
    assert found.help == THREAT_HELP_COMMAND == "entrenous help --threat"
    assert found.has_step
    assert {one.next_step for one in found.advice} == {None}
    assert {one.undo for one in found.advice} == {None}
    assert check_up_result(answers={"threat": "no"}).help is None
