"""Tests that the simulation detects a sabotaged program. Each sabotage breaks one rule."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from entrenous.base.identifiers import ID_BYTES
from entrenous.device.vault_tables import SEEN_LETTER
from entrenous.send import fetch
from tests.village.sim.run import SimulationRun
from tests.village.sim.stores import SimRowStore, SimVault

pytestmark = pytest.mark.slow

Sabotage = Callable[[pytest.MonkeyPatch], None]
# A run ends at its first violation. If this is not the expected violation, the test tries the next
# seed.
SEEDS = range(40)


def acknowledge_before_storing(patch: pytest.MonkeyPatch) -> None:
    """Let devices acknowledge letters before they are on the disk."""
    honest = fetch._process_if_new

    def acknowledge_and_process(waiting: Any, device: Any) -> int:
        home = fetch.own_device(device).home
        device.courier.acknowledge(home.relay_url, home.mailbox, home.owner, waiting.id)
        return honest(waiting, device)

    patch.setattr(fetch, "_process_if_new", acknowledge_and_process)


def answer_before_syncing(patch: pytest.MonkeyPatch) -> None:
    """Let relays answer after they have written rows, but before they have synced them."""

    async def transact_without_sync(
        mail: SimRowStore, work: Callable[[Any], Any], _: object = None
    ) -> Any:
        answer = await mail.memory_store.transact(work)
        mail._disk.write(*mail._changes())
        return answer

    patch.setattr(SimRowStore, "transact", transact_without_sync)


def release_after_recall(patch: pytest.MonkeyPatch) -> None:
    """Let relays confirm a recall without deleting anything."""
    patch.setattr("entrenous.carry.withdraw.close_envelope", lambda _tx, stored, *_: stored)


def do_not_count_openings(patch: pytest.MonkeyPatch) -> None:
    """Let relays release a share as often as it is requested."""
    patch.setattr("entrenous.carry.release._record_attempt", lambda *_: None)


def do_not_record_attempts(patch: pytest.MonkeyPatch) -> None:
    """Let devices use a new attempt ID whenever they open a message."""
    patch.setattr(
        "entrenous.send.open._ensure_opening_attempt",
        lambda received, device: replace(received, attempt=device.random_source.token(ID_BYTES)),
    )


def forget_received_letters(patch: pytest.MonkeyPatch) -> None:
    """Let devices forget which letters they have received."""
    honest = fetch._process_if_new

    def forget_and_process(waiting: Any, device: Any) -> int:
        device.vault.drop(SEEN_LETTER, waiting.id.hex())
        return honest(waiting, device)

    patch.setattr(fetch, "_process_if_new", forget_and_process)


def do_not_recognise_repeats(patch: pytest.MonkeyPatch) -> None:
    """Let relays treat a repeated post as a different letter with the same ID."""
    patch.setattr("entrenous.carry.accept.envelope_digest", lambda _: str(object()).encode())


def break_atomicity(patch: pytest.MonkeyPatch) -> None:
    """Let vaults write each change of a transaction separately."""

    @contextmanager
    def no_transaction(_vault: SimVault) -> Iterator[None]:
        yield

    patch.setattr(SimVault, "transaction", no_transaction)


REPORT_BY_SABOTAGE: dict[Sabotage, str] = {
    acknowledge_before_storing: "was acknowledged and is not on its disk",
    answer_before_syncing: "had acknowledged was lost in a crash",
    release_after_recall: "let a share go after its message was taken back",
    do_not_count_openings: " times",
    do_not_record_attempts: "was used up and nobody has seen it",
    forget_received_letters: "a letter could not be opened",
    do_not_recognise_repeats: "refused",
    break_atomicity: "could not be opened",
}
#: The seed to try first, for each sabotage that a run with seed 0 does not detect.
FIRST_SEED = {
    answer_before_syncing: 1,
    release_after_recall: 1,
    do_not_record_attempts: 7,
    do_not_recognise_repeats: 7,
}


#: The sabotages that ``make test`` tries; ``make nightly`` tries all.
FAST_SABOTAGES = {acknowledge_before_storing, release_after_recall, break_atomicity}


@pytest.mark.parametrize(
    "sabotage",
    [
        pytest.param(one, marks=[] if one in FAST_SABOTAGES else pytest.mark.nightly)
        for one in REPORT_BY_SABOTAGE
    ],
    ids=lambda one: one.__name__,
)
def test_simulation_detects_sabotage(sabotage: Sabotage) -> None:
    seeds = (FIRST_SEED.get(sabotage, 0), *SEEDS)
    assert any(REPORT_BY_SABOTAGE[sabotage] in run_with_sabotage(sabotage, seed) for seed in seeds)


def run_with_sabotage(sabotage: Sabotage, seed: int) -> str:
    """Set up people, sabotage the program, run the simulation, and return its report."""
    run = SimulationRun(seed)
    with pytest.MonkeyPatch.context() as patch:
        sabotage(patch)
        return run.run().report
