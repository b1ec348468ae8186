"""Measure how quickly the program starts, compared with ``import typer`` in the same run.

    python -m bench.start [--runs 7]

Each figure is the median of several runs. The programs take turns, so that other work on the
machine affects all of them alike; processor time is printed too. ``sent`` lists the messages of a
small vault, without a relay. The time that argon2id takes for the vault's passphrase is measured in
the same turns and subtracted. The last line is JSON.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

SCHEMA: Final = "entrenous/bench-start/1"
HELP_RATIO_MAX: Final = 4.0
HELP_MB_MAX: Final = 60.0
SENT_S_MAX: Final = 0.5  # in addition to argon2id

PASSPHRASE: Final = "four or five unrelated words"  # noqa: S105 - of a temporary vault
PROGRAM: Final = (sys.executable, "-m", "entrenous")
_COMMANDS: Final = {
    "typer": (sys.executable, "-c", "import typer"),
    "help": (*PROGRAM, "--help"),
    "sent": (*PROGRAM, "sent"),
}
ARGON2ID: Final = f"""
import time
from entrenous.crypto.vault_key import stretch_passphrase
from entrenous.base.secret import Secret

passphrase = Secret({PASSPHRASE.encode()!r})
began_s, began_cpu_s = time.perf_counter(), time.process_time()
stretch_passphrase(passphrase, bytes(16))
print(time.perf_counter() - began_s, time.process_time() - began_cpu_s)
"""
_PICTURE: Final = """
import sys
import numpy as np
from PIL import Image

pixels = np.random.default_rng(1).integers(0, 256, (480, 640, 3), np.uint8)
Image.fromarray(pixels).save(sys.argv[1])
"""
_MESSAGES: Final = 3


class Cost(NamedTuple):
    """The cost of one run: seconds by the clock, processor seconds, and peak memory in MiB."""

    s: float
    cpu_s: float
    mb: float = 0.0


def measure(runs: int) -> dict[str, Any]:
    """Start each program ``runs`` times, in turns, and return the medians and their ratios."""
    with tempfile.TemporaryDirectory() as folder:
        surroundings = _small_vault(Path(folder))
        # the first turn is not counted, because it reads the programs from the disk
        turns = [_turn(surroundings) for _ in range(runs + 1)][1:]
    typer, help_, sent, argon2id = (
        Cost(*map(median, zip(*(turn[name] for turn in turns), strict=True)))
        for name in (*_COMMANDS, "argon2id")
    )
    return {
        "schema": SCHEMA,
        "runs": runs,
        "typer_s": round(typer.s, 4),
        "help_s": round(help_.s, 4),
        "help_over_typer": round(help_.s / typer.s, 2),
        "help_cpu_over_typer_cpu": round(help_.cpu_s / typer.cpu_s, 2),
        "help_mb": round(help_.mb, 1),
        "sent_s": round(sent.s, 4),
        "argon2id_s": round(argon2id.s, 4),
        "sent_beyond_argon2id_s": round(sent.s - argon2id.s, 4),
        "sent_beyond_argon2id_cpu_s": round(sent.cpu_s - argon2id.cpu_s, 4),
        "sent_mb": round(sent.mb, 1),
    }


def _turn(surroundings: dict[str, str]) -> dict[str, Cost]:
    costs = {name: cost_of(command, surroundings) for name, command in _COMMANDS.items()}
    output = output_of([sys.executable, "-c", ARGON2ID], surroundings)
    return costs | {"argon2id": Cost(*map(float, output.split()))}


def cost_of(command: Sequence[str], surroundings: dict[str, str]) -> Cost:
    """Run a command in the environment ``surroundings`` and return its cost.

    Raises:
        subprocess.CalledProcessError: the exit status is not 0.
    """
    began_s = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603 - our own commands
        command, env=surroundings, stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    took_s = time.perf_counter() - began_s
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Cost(took_s, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def output_of(command: Sequence[str], surroundings: dict[str, str]) -> str:
    return subprocess.run(  # noqa: S603 - our own interpreter and arguments
        command, env=surroundings, check=True, capture_output=True, text=True
    ).stdout


def _small_vault(folder: Path) -> dict[str, str]:
    """Set up a device, mark a picture three times for two people; return the environment to use."""
    home = {"ENTRENOUS_HOME": str(folder / "home"), "ENTRENOUS_PASSPHRASE": PASSPHRASE}
    surroundings = os.environ | home
    picture = str(folder / "picture.png")
    output_of([sys.executable, "-c", _PICTURE, picture], surroundings)
    output_of([*PROGRAM, "setup", "--name", "ana", "--offline"], surroundings)
    for number in range(_MESSAGES):
        people = ["--to", "ben", "--to", "caro", "--out", str(folder / str(number))]
        output_of([*PROGRAM, "mark", picture, *people], surroundings)
    return surroundings


def main() -> None:
    """Print the main figures with their limits, then all figures as a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    found = measure(parser.parse_args().runs)
    sys.stdout.write(
        f"--help: {found['help_over_typer']} x `import typer` (at most {HELP_RATIO_MAX}), "
        f"{found['help_mb']} MB (at most {HELP_MB_MAX})\n"
        f"sent: {found['sent_beyond_argon2id_s']} s beyond argon2id (at most {SENT_S_MAX}), "
        f"{found['sent_mb']} MB\n{json.dumps(found)}\n"
    )


if __name__ == "__main__":
    main()
