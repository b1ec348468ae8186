"""The check-up: leak paths open, closed or unseen; few next steps; nothing of the passphrase."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.base.secret import Secret
from entrenous.learn.check_up import (
    STEPS_MAX,
    Advice,
    LeakPath,
    _limit_steps,
    check_up,
    guesses_log10,
)
from entrenous.learn.this_machine import MachineFacts

FINE = MachineFacts("Linux", "/home/ana/entrenous", (), disk_encrypted=True)
GOOD = Secret(b"teapot violin marmot gravel canoe")


def paths(facts: MachineFacts, passphrase: Secret | None = GOOD) -> dict[str, LeakPath]:
    return {one.check: one.path for one in check_up(facts, passphrase)}


def test_all_closed_needs_no_step() -> None:
    found = check_up(FINE, GOOD)
    assert {one.path for one in found} == {LeakPath.CLOSED}
    assert [one.next_step for one in found] == [None, None, None]


@pytest.mark.parametrize(
    ("facts", "check", "path"),
    [
        (replace(FINE, open_to_others=(".", "vault.db")), "vault files", LeakPath.OPEN),
        (replace(FINE, open_to_others=None), "vault files", LeakPath.UNKNOWN),
        (replace(FINE, disk_encrypted=False), "disk encryption", LeakPath.OPEN),
        (replace(FINE, disk_encrypted=None), "disk encryption", LeakPath.UNKNOWN),
    ],
)
def test_each_fact_decides_its_own_path(facts: MachineFacts, check: str, path: LeakPath) -> None:
    assert paths(facts) == {**paths(FINE), check: path}
    advice = next(one for one in check_up(facts, GOOD) if one.check == check)
    assert advice.next_step
    assert advice.closes


@pytest.mark.parametrize(
    ("passphrase", "path"),
    [
        (b"password1", LeakPath.OPEN),
        (b"qwertyuiop12", LeakPath.OPEN),
        (b"", LeakPath.OPEN),
        (b"aaaaaaaaaaaaaaaaaaaaaaaaaaaa", LeakPath.OPEN),
        (b"teapot violin marmot gravel canoe", LeakPath.CLOSED),
        (b"x7#Kq9!mZp2$Lw", LeakPath.CLOSED),
        ("żółw kaczka świerszcz młyn".encode(), LeakPath.CLOSED),
    ],
)
def test_a_passphrase_is_judged_by_a_clever_guesser(passphrase: bytes, path: LeakPath) -> None:
    assert paths(FINE, Secret(passphrase))["passphrase"] is path


def test_a_passphrase_that_was_not_given_is_not_judged() -> None:
    assert paths(FINE, None)["passphrase"] is LeakPath.UNKNOWN


@given(st.text(min_size=8, max_size=90))
def test_nothing_of_the_passphrase_is_said(passphrase: str) -> None:
    said = repr(check_up(FINE, Secret(passphrase.encode())))
    assert passphrase not in said or passphrase in repr(check_up(FINE, GOOD))


def test_words_of_her_own_do_not_save_a_passphrase_that_is_cut_off() -> None:
    assert guesses_log10(Secret(b"a" * 72 + b"x7#Kq9!mZp2$Lw")) < 10


def test_open_paths_come_first_then_what_cannot_be_seen() -> None:
    found = check_up(replace(FINE, open_to_others=None, disk_encrypted=False), GOOD)
    assert [one.path for one in found] == [LeakPath.OPEN, LeakPath.UNKNOWN, LeakPath.CLOSED]


def test_many_loose_files_are_counted_and_not_listed() -> None:
    facts = replace(FINE, open_to_others=tuple(f"file{n}" for n in range(9)))
    said = next(one.found for one in check_up(facts, GOOD) if one.check == "vault files")
    assert said == "Others may open: file0, file1, file2 and 6 more."


@given(st.lists(st.booleans(), max_size=12))
def test_there_are_never_more_than_five_steps_and_nothing_found_is_lost(steps: list[bool]) -> None:
    before = [
        Advice(str(n), LeakPath.OPEN, "closes", "found", "step" if with_step else None)
        for n, with_step in enumerate(steps)
    ]
    after = _limit_steps(before)
    assert [one.check for one in after] == [one.check for one in before]
    assert sum(one.next_step is not None for one in after) == min(sum(steps), STEPS_MAX)


def test_no_grade_and_no_score() -> None:
    said = " ".join(one.found + (one.next_step or "") for one in check_up(FINE, GOOD))
    assert not any(word in said.lower() for word in ("score", "grade", "%", "risk", "danger"))
