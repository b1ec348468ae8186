"""Kill gates at random moments under load, and compare what they acknowledged with what they store.

    python -m tests.real.gate_kills --kills 50                 on SQLite
    python -m tests.real.gate_kills --kills 50 --postgresql    two gates on one PostgreSQL

Clients upload, register, withdraw and review (tests/real/gate_stories.py) while the index rewrites
its files, and another process, which may also be killed, imports lists. Each gate is killed with
SIGKILL, and the next gate must have everything that was acknowledged. At the end every picture is
uploaded once more, and the store, the log, the cases, the retroactive checks (look-backs) and the
index are checked.
"""

import argparse
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, Final

import httpx

from entrenous.stop.store.open_gate import open_platform
from tests.real.gate_checks import (
    LIST_LENGTH,
    ImportedList,
    index_faults,
    look_back_faults,
    store_faults,
)
from tests.real.gate_stories import Client, StepNotDone
from tests.real.trial import folder_and_database, read_first_line, run_and_kill_at_end
from tests.stop.index.index_banks import random_hashes

# Like `gate run`, but faster: the index is written to disk after ten new hashes instead of 32,768,
# and is maintained more often; and another gate takes over the work of a killed gate after two
# seconds instead of two minutes.
GATE_PROGRAM: Final = """
import sys
from datetime import timedelta
from functools import partial
from entrenous.__main__ import main
from entrenous.stop.index import file_index
from entrenous.stop.judge import look_back
from entrenous.stop.store import open_gate

look_back.LEASE_DURATION = timedelta(seconds=2)
file_index._UNMERGED_HASHES_MAX = 10
open_gate.open_index = partial(
    open_gate.open_index, round_interval_s=0.05, withdrawn_check_interval_s=0.3
)
words = ["--data", sys.argv[1], "--listen", "127.0.0.1:0", "--json", sys.argv[2]]
sys.argv = ["entrenous", "gate", "run", *words]
main()
"""
GATE_SETTINGS: Final = "claims_per_hour = 1000000\nclaims_of_all = 1000000\n"
_STEPS_MAX: Final = 12  # steps of all clients together before a kill
_WORK_S_MAX: Final = 60
_UPLOAD_TRIES_MAX: Final = 10  # because a gate may answer that it is busy


@contextmanager
def run_gate(
    folder: Path, slow_look_option: str = "--no-slow-look"
) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Run a gate; yield its process and the JSON object that it prints once it serves."""
    with run_and_kill_at_end(
        [sys.executable, "-c", GATE_PROGRAM, str(folder), slow_look_option]
    ) as process:
        yield process, json.loads(read_first_line(process))


def start_import(folder: Path, seed: int) -> AbstractContextManager[subprocess.Popen[str]]:
    """Start to import a list of hashes into a bank, in another process."""
    path = folder / f"list-{seed}.csv"
    path.write_text("\n".join(bits.hex() for bits in random_hashes(LIST_LENGTH, seed)))
    words = ("gate", "bank", "import", str(path), "--bank", "listed", "--data", str(folder))
    return run_and_kill_at_end([sys.executable, "-m", "entrenous", *words])


def kill_round(
    clients: Sequence[Client],
    folders: Sequence[Path],
    rng: random.Random,
    slow_look_option: str,
) -> ImportedList | None:
    """Start gates, let all clients use them, and kill the gates one after the other. In about half
    of the rounds, import a list meanwhile. Return this list, or None if no import was started.
    """
    stop_requested, listing = threading.Event(), None
    seed = rng.randrange(1 << 30) if rng.random() < 0.5 else None
    with ExitStack() as stack:
        gates = [stack.enter_context(run_gate(folder, slow_look_option)) for folder in folders]
        threads = [_start_client(client, gates, stop_requested) for client in clients]
        if seed is not None:
            listing = stack.enter_context(start_import(folders[0], seed))
        for process, _ in gates:
            _wait_for_steps(clients, rng)
            process.kill()
        if listing is not None and rng.random() < 0.5:
            listing.kill()
        stop_requested.set()
        for thread in threads:
            thread.join()
        is_sure = listing is not None and listing.wait() == 0
    return None if seed is None else ImportedList(random_hashes(LIST_LENGTH, seed), is_sure)


def _wait_for_steps(clients: Sequence[Client], rng: random.Random) -> None:
    """Wait, for at most a minute, until the clients have taken a random number of further steps.
    Then wait for up to 0.3 s.
    """
    enough = sum(client.answered_count for client in clients) + rng.randint(0, _STEPS_MAX)
    until = time.monotonic() + _WORK_S_MAX
    while sum(client.answered_count for client in clients) < enough and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(rng.uniform(0, 0.3))


def _start_client(
    client: Client, gates: Sequence[tuple[Any, dict[str, Any]]], stop_requested: threading.Event
) -> threading.Thread:
    """Start a thread in which the client uses its gate, with the token of that gate's operator."""
    _, printed = gates[client.number % len(gates)]
    client.operator_token = Path(printed["operator_token_file"]).read_text()
    thread = threading.Thread(target=client.run, args=(printed["url"], stop_requested))
    thread.start()
    return thread


@dataclass(frozen=True)
class Trial:
    """The parameters of a trial. No round of kills begins after ``duration_s`` seconds."""

    kill_count: int
    client_count: int
    seed: int = 0
    duration_s: float = inf
    slow_look_option: str = "--no-slow-look"


def run_trial(trial: Trial, folder: Path, database: str = "") -> dict[str, Any]:
    """Run a trial; return the seed, counts, and the faults under the key ``faults``."""
    folders = _create_gate_folders(folder, database)
    clients = [Client(n, random.Random(f"{trial.seed} {n}")) for n in range(trial.client_count)]
    imports = list(_run_rounds(trial, clients, folders))
    acknowledged = sum(client.answered_count for client in clients)
    faults = [
        *_find_faults(clients, imports, folders),
        *(one for who in clients for one in who.faults),
    ]
    stories = [story for client in clients for story in client.stories]
    return {
        "seed": trial.seed,
        "kills": len(imports) * len(folders),
        "acknowledged": acknowledged,
        "claims": sum(len(story.registered_by_claim) for story in stories),
        "withdrawn": sum(not on for story in stories for on in story.registered_by_claim.values()),
        "looked_back": sum(story.case_to_look_back_at is not None for story in stories),
        "lists": sum(one is not None and one.is_sure for one in imports),
        "faults": sorted(set(faults)),
    }


def _run_rounds(
    trial: Trial, clients: Sequence[Client], folders: Sequence[Path]
) -> Iterator[ImportedList | None]:
    rng, until = random.Random(trial.seed), time.monotonic() + trial.duration_s
    for _ in range(-(-trial.kill_count // len(folders))):
        if time.monotonic() < until:
            yield kill_round(clients, folders, rng, trial.slow_look_option)


def _find_faults(
    clients: Sequence[Client],
    imports: Sequence[ImportedList | None],
    folders: Sequence[Path],
) -> list[str]:
    """Check uploads and the store while a gate runs, then the look-backs and the index without a
    running gate. Return the faults.
    """
    stories = [story for client in clients for story in client.stories]
    lists = [one for one in imports if one is not None]
    with run_gate(folders[-1]) as (_, printed):
        for client in clients:
            client.operator_token = Path(printed["operator_token_file"]).read_text()
            _upload_all(client, printed["url"])
        with open_platform(folders[0]) as (platform, _):
            found = store_faults(stories, lists, platform)
    with open_platform(folders[0]) as (platform, _):
        return [
            *found,
            *look_back_faults(stories, platform),
            *index_faults(stories, platform, folders),
        ]


def _create_gate_folders(folder: Path, database: str) -> list[Path]:
    folders = [folder / name for name in (("one", "two") if database else ("one",))]
    database_setting = f'database = "{database}"\n' if database else ""
    for one in folders:
        one.mkdir()
        (one / "gate.toml").write_text(database_setting + GATE_SETTINGS)
    return folders


def _upload_all(client: Client, url: str) -> None:
    """Upload every picture once more, and record each wrong decision as a fault of the client."""
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as web:
        for story in client.stories:
            for _ in range(_UPLOAD_TRIES_MAX):
                with suppress(StepNotDone):
                    client.upload(story, web)
                    break
            else:
                client.faults.append("an upload was never answered")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=inf, help="no more kills after so long")
    parser.add_argument("--slow-look", action="store_true", help="with gates' second processes")
    parser.add_argument("--postgresql", action="store_true")
    arguments = parser.parse_args()
    slow_look_option = "--slow-look" if arguments.slow_look else "--no-slow-look"
    trial = Trial(
        arguments.kills, arguments.clients, arguments.seed, arguments.seconds, slow_look_option
    )
    with folder_and_database(postgresql=arguments.postgresql) as (folder, database):
        print(json.dumps(run_trial(trial, folder, database)))  # noqa: T201


if __name__ == "__main__":
    main()
