"""Gates that are killed a few times lose nothing that they acknowledged, and the checks of these
trials (gate_checks.py, gate_stories.py) would notice a loss.

``python -m tests.real.gate_kills --kills 50`` kills gates fifty times.
"""

from pathlib import Path

import pytest

from entrenous.stop.store.open_gate import open_platform
from tests.postgres import Cluster
from tests.real.gate_checks import LIST_LENGTH, ImportedList, store_faults
from tests.real.gate_kills import Trial, run_trial
from tests.real.gate_stories import HOLD, LET_THROUGH, REFUSE, Story, expected_decision
from tests.stop.index.index_banks import random_hashes

pytestmark = pytest.mark.real


@pytest.mark.threat("gate-killed")
def test_kills_of_one_gate_cause_no_faults(tmp_path: Path) -> None:
    done = run_trial(Trial(kill_count=3, client_count=3, seed=1), tmp_path)
    assert done["faults"] == []
    assert done["acknowledged"] > 5


@pytest.mark.threat("gate-killed")
def test_kills_of_two_gates_on_one_database_cause_no_faults(
    tmp_path: Path, postgres: Cluster
) -> None:
    done = run_trial(
        Trial(kill_count=2, client_count=4, seed=2), tmp_path, postgres.create_database()
    )
    assert done["faults"] == []
    assert done["kills"] == 2


@pytest.mark.parametrize(
    ("steps", "decision"),
    [
        ((), LET_THROUGH),
        (("claim 0", "upload"), HOLD),
        (("claim 0", "claim 1", "withdraw 0"), HOLD),
        (("claim 0", "upload", "confirm"), REFUSE),
        (("claim 0", "upload", "release"), LET_THROUGH),
        (("claim 0", "upload", "confirm", "withdraw 0"), LET_THROUGH),
    ],
)
def test_expected_decision_after_steps(steps: tuple[str, ...], decision: str) -> None:
    assert expected_decision(steps) == decision


def test_checks_notice_what_a_gate_lost(tmp_path: Path) -> None:
    """The gate got no request. The checks must report the claim, the case and the list as lost."""
    story = Story(
        1, ("claim 0", "upload"), answered_step_count=2, decision_by_case={"1919-8952-571b": HOLD}
    )
    listed = ImportedList(random_hashes(LIST_LENGTH, 1), is_sure=True)
    with open_platform(tmp_path) as (platform, _):
        faults = store_faults([story], [listed], platform)
    name = story.claim_name("0")
    lost = {f"a claim is not in the log: {name}", f"{name}: True", "0 of a list are there"}
    assert set(faults) == {*lost, "a case was lost"}


def test_a_step_in_doubt_may_have_happened_or_not() -> None:
    story = Story(1, ("claim 0", "withdraw 0"), answered_step_count=1, step_in_doubt="withdraw 0")
    assert story.allowed_decisions == {HOLD, LET_THROUGH}
    assert story.registered_by_claim == {}  # the claim is in doubt
    story.answered_step_count, story.step_in_doubt = 2, None
    assert story.allowed_decisions == {LET_THROUGH}
    assert story.registered_by_claim == {story.claim_name("0"): False}
