"""Break one rule of the program at a time: a simulated week must notice it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from entrenous.base.identifiers import ID_BYTES
from entrenous.device.vault_tables import SEEN_LETTER
from entrenous.send import fetch
from tests.village.sim.run import Run
from tests.village.sim.stores import SimMail, SimVault

pytestmark = pytest.mark.slow

Sabotage = Callable[[pytest.MonkeyPatch], None]
SEEDS = range(40)  # a run ends at the first violation, so that few take the whole week


def acknowledged_before_it_is_stored(patch: pytest.MonkeyPatch) -> None:
    """A device tells its relay to forget a letter that is not on its disk yet."""
    honest = fetch._process_if_new

    def acknowledge_and_process(waiting: Any, device: Any) -> int:
        home = fetch.own_device(device).home
        device.courier.acknowledge(home.relay_url, home.mailbox, home.owner, waiting.id)
        return honest(waiting, device)

    patch.setattr(fetch, "_process_if_new", acknowledge_and_process)


def answered_before_it_is_durable(patch: pytest.MonkeyPatch) -> None:
    """A relay answers when its rows are written, before they are synced."""

    async def transact_without_sync(
        mail: SimMail, work: Callable[[Any], Any], _: object = None
    ) -> Any:
        answer = await mail.inner.transact(work)
        mail._disk.write(*mail._changes())
        return answer

    patch.setattr(SimMail, "transact", transact_without_sync)


def released_after_a_recall(patch: pytest.MonkeyPatch) -> None:
    """A relay says that a message is taken back, and deletes nothing."""
    patch.setattr("entrenous.carry.withdraw.close_envelope", lambda _tx, stored, *_: stored)


def openings_not_counted(patch: pytest.MonkeyPatch) -> None:
    """A relay hands a share out as often as it is asked."""
    patch.setattr("entrenous.carry.release._record_attempt", lambda *_: None)


def attempts_not_written_down(patch: pytest.MonkeyPatch) -> None:
    """A device that died during an opening continues it under a new attempt."""
    patch.setattr(
        "entrenous.send.open._ensure_opening_attempt",
        lambda received, device: replace(received, attempt=device.random_source.token(ID_BYTES)),
    )


def letters_not_recognised(patch: pytest.MonkeyPatch) -> None:
    """A device forgets which letters it has received, and receives one again."""
    honest = fetch._process_if_new

    def forget_and_process(waiting: Any, device: Any) -> int:
        device.vault.drop(SEEN_LETTER, waiting.id.hex())
        return honest(waiting, device)

    patch.setattr(fetch, "_process_if_new", forget_and_process)


def repeats_not_recognised(patch: pytest.MonkeyPatch) -> None:
    """A relay takes a repeated post for another letter with the same ID."""
    patch.setattr("entrenous.carry.accept.envelope_digest", lambda _: str(object()).encode())


def transactions_not_atomic(patch: pytest.MonkeyPatch) -> None:
    """A vault writes each change of a transaction alone."""

    @contextmanager
    def no_transaction(_vault: SimVault) -> Iterator[None]:
        yield

    patch.setattr(SimVault, "transaction", no_transaction)


REPORTS: dict[Sabotage, str] = {
    acknowledged_before_it_is_stored: "was acknowledged and is not on its disk",
    answered_before_it_is_durable: "had acknowledged was lost in a crash",
    released_after_a_recall: "let a share go after its message was taken back",
    openings_not_counted: " times",
    attempts_not_written_down: "was used up and nobody has seen it",
    letters_not_recognised: "a letter could not be opened",
    repeats_not_recognised: "refused",
    transactions_not_atomic: "could not be opened",
}
#: The seed to try first, if seed 0 does not notice it: this saves whole runs.
FIRST_SEED = {
    answered_before_it_is_durable: 1,
    released_after_a_recall: 1,
    attempts_not_written_down: 7,
    repeats_not_recognised: 7,
}


#: What ``make test`` tries; ``make nightly`` tries all.
IN_MAKE_TEST = {acknowledged_before_it_is_stored, released_after_a_recall, transactions_not_atomic}


@pytest.mark.parametrize(
    "sabotage",
    [
        pytest.param(one, marks=[] if one in IN_MAKE_TEST else pytest.mark.nightly)
        for one in REPORTS
    ],
    ids=lambda one: one.__name__,
)
def test_simulation_detects_sabotage(sabotage: Sabotage) -> None:
    seeds = (FIRST_SEED.get(sabotage, 0), *SEEDS)
    assert any(REPORTS[sabotage] in report_under(sabotage, seed) for seed in seeds)


def report_under(sabotage: Sabotage, seed: int) -> str:
    """Return the report of one run; its people were set up before the sabotage."""
    run = Run(seed)
    with pytest.MonkeyPatch.context() as patch:
        sabotage(patch)
        return run.run().report
