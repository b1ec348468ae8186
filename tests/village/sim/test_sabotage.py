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

    def take_in(waiting: Any, device: Any) -> int:
        home = fetch.own_device(device).home
        device.courier.acknowledge(home.relay_url, home.mailbox, home.owner, waiting.id)
        return honest(waiting, device)

    patch.setattr(fetch, "_process_if_new", take_in)


def answered_before_it_is_durable(patch: pytest.MonkeyPatch) -> None:
    """A relay answers when its rows are written, before they are synced."""

    async def together(mail: SimMail, work: Callable[[Any], Any], _: object = None) -> Any:
        answer = await mail.inner.transact(work)
        mail._disk.write(*mail._changes())
        return answer

    patch.setattr(SimMail, "transact", together)


def released_after_a_recall(patch: pytest.MonkeyPatch) -> None:
    """A relay says that a message is taken back, and deletes nothing."""
    patch.setattr("entrenous.carry.withdraw.close_envelope", lambda _desk, held, *_: held)


def not_counted(patch: pytest.MonkeyPatch) -> None:
    """A relay hands a share out as often as it is asked."""
    patch.setattr("entrenous.carry.release._record_attempt", lambda *_: None)


def attempts_not_written_down(patch: pytest.MonkeyPatch) -> None:
    """A device that died during an opening continues it under a new attempt."""
    patch.setattr(
        "entrenous.send.open._ensure_opening_attempt",
        lambda received, device: replace(received, attempt=device.dice.token(ID_BYTES)),
    )


def letters_not_recognised(patch: pytest.MonkeyPatch) -> None:
    """A device forgets which letters it has received, and receives one again."""
    honest = fetch._process_if_new

    def take_in(waiting: Any, device: Any) -> int:
        device.vault.drop(SEEN_LETTER, waiting.id.hex())
        return honest(waiting, device)

    patch.setattr(fetch, "_process_if_new", take_in)


def repeats_not_recognised(patch: pytest.MonkeyPatch) -> None:
    """A relay takes a repeated post for another letter with the same ID."""
    patch.setattr("entrenous.carry.accept.envelope_digest", lambda _: str(object()).encode())


def halves_of_transactions(patch: pytest.MonkeyPatch) -> None:
    """A vault writes each change of a transaction alone."""

    @contextmanager
    def together(_vault: SimVault) -> Iterator[None]:
        yield

    patch.setattr(SimVault, "transaction", together)


NOTICED: dict[Sabotage, str] = {
    acknowledged_before_it_is_stored: "was acknowledged and is not on its disk",
    answered_before_it_is_durable: "had acknowledged was lost in a crash",
    released_after_a_recall: "let a share go after its message was taken back",
    not_counted: " times",
    attempts_not_written_down: "was used up and nobody has seen it",
    letters_not_recognised: "a letter could not be opened",
    repeats_not_recognised: "refused",
    halves_of_transactions: "could not be opened",
}
#: The seed to try first, if seed 0 does not notice it: this saves whole runs.
NOTICED_BY = {
    answered_before_it_is_durable: 1,
    released_after_a_recall: 1,
    attempts_not_written_down: 7,
    repeats_not_recognised: 7,
}


#: What ``make test`` tries; ``make nightly`` tries all.
BY_DAY = {acknowledged_before_it_is_stored, released_after_a_recall, halves_of_transactions}


@pytest.mark.parametrize(
    "sabotage",
    [pytest.param(one, marks=[] if one in BY_DAY else pytest.mark.nightly) for one in NOTICED],
    ids=lambda one: one.__name__,
)
def test_what_is_missing_is_noticed(sabotage: Sabotage) -> None:
    seeds = (NOTICED_BY.get(sabotage, 0), *SEEDS)
    assert any(NOTICED[sabotage] in report_under(sabotage, seed) for seed in seeds)


def report_under(sabotage: Sabotage, seed: int) -> str:
    """Return the report of one run; its people were set up before the sabotage."""
    run = Run(seed)
    with pytest.MonkeyPatch.context() as patch:
        sabotage(patch)
        return run.run().report
