"""Measure the size of the code base, and print each figure beside its target (``make house``).

    python -m tests.house.figures [--no-walks]

Sizes are counted in src/entrenous, and the lines of tests in tests. A walk counts the source files
whose functions run while a command works: ``send photo --to ben`` on the device and in the relay,
and an upload in the gate. Code that only runs on import is not counted. The targets of walks were
set when files were counted in another way, which found only a quarter to three quarters of them
(docs/decisions/0046).
"""

import argparse
import ast
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
SOURCE: Final = ROOT / "src" / "entrenous"
COMMON_FILE_NAMES: Final = {"commands", "http", "store", "client", "nouns", "__init__"}

#: A program that runs Entrenous and records the source files whose functions run after import.
_RECORDING_PROGRAM: Final = """
import os, sys, threading
ran = set()
def seen(frame, event, _):
    code = frame.f_code
    if event == "call" and code.co_name != "<module>" and "entrenous" in code.co_filename:
        if not (frame.f_back and frame.f_back.f_code.co_name == "<module>"):
            ran.add(code.co_filename)
threading.setprofile(seen)
import atexit
def written():
    with open(os.environ["WALK"], "w") as out:
        out.write("\\n".join(sorted(ran)))
atexit.register(written)
from entrenous.__main__ import main
import signal
signal.signal(signal.SIGUSR1, lambda *_: ran.clear())
signal.signal(signal.SIGUSR2, lambda *_: written())
sys.setprofile(seen)
main()
"""


def source_sizes() -> Iterator[tuple[str, object, str]]:
    """Yield (name, value, target) of each figure about source files."""
    files = sorted(SOURCE.rglob("*.py"))
    lines = {file: len(file.read_text().splitlines()) for file in files}
    yield "files in src/entrenous", len(files), "<= 450"
    yield "lines in src/entrenous", sum(lines.values()), "<= 65,000"
    yield "lines of code among them", sum(map(_count_code_lines, files)), "no target of their own"
    tests = sum(len(file.read_text().splitlines()) for file in (ROOT / "tests").rglob("*.py"))
    yield "lines in tests", tests, "whatever is needed"
    names = Counter(file.stem for file in files)
    often = sorted(
        name for name, count in names.items() if count > 2 and name not in COMMON_FILE_NAMES
    )
    yield "file names of more than two files", len(often), "<= 10"
    own = {file: count for file, count in lines.items() if file.name != "__init__.py"}
    yield "files under 40 lines", sum(count < 40 for count in own.values()), "<= 30"
    yield "files over 500 lines", sum(count > 500 for count in own.values()), "0"
    classes = [
        node
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ClassDef)
    ]
    protocols = sum(any(ast.unparse(base) == "Protocol" for base in one.bases) for one in classes)
    yield "protocols", protocols, "each with two implementations, or for the simulated world"


def _count_code_lines(file: Path) -> int:
    """Count the lines that are not empty and not part of a docstring, comment or import."""
    text = file.read_text()
    other = {
        number
        for number, line in enumerate(text.splitlines(), 1)
        if not line.strip() or line.lstrip().startswith("#")
    }
    for node in ast.walk(ast.parse(text)):
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if is_text or isinstance(node, ast.Import | ast.ImportFrom):
            other |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(text.splitlines()) - len(other)


def walk_lengths() -> Iterator[tuple[str, object, str]]:
    """Count the source files that a message and an upload pass; yield (name, value, target)."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photo = folder / "photo.png"
        _run_process([sys.executable, "-c", _SAVE_PHOTO_PROGRAM, str(photo)], os.environ)
        with _run_server(folder / "relay", "relay") as (url, relay):
            ana, ben = _set_up_person(folder, "ana", url), _set_up_person(folder, "ben", url)
            link = json.loads(_run_entrenous(ben, "invite", "--for", "ana", "--json"))["link"]
            _run_entrenous(ana, "person", "add", "-", "--as", "ben", text=link)
            _run_entrenous(ben, "inbox")
            _run_entrenous(ana, "inbox")
            os.kill(relay.pid, 10)
            device = _count_files_of_command(
                folder, ana, "send", str(photo), "--to", "ben", "--confirm", "ben"
            )
            at_relay = _count_files_of_server(folder / "relay.walk", relay)
        yield "files that send photo --to ben passes on the device", device, "<= 20"
        yield "files that it passes in the relay", at_relay, "<= 10"
        with _run_server(folder / "gate", "gate") as (url, gate):
            token = (folder / "gate" / "uploader.token").read_text().strip()
            for _ in range(2):  # the first upload also initializes lazy parts
                os.kill(gate.pid, 10)
                request = urllib.request.Request(
                    f"{url}/v1/uploads",
                    photo.read_bytes(),
                    {"Authorization": f"Bearer {token}", "Content-Type": "image/png"},
                )
                urllib.request.urlopen(request, timeout=60).read()
            yield (
                "files that an upload passes in the gate",
                _count_files_of_server(folder / "gate.walk", gate),
                "<= 18",
            )


_SAVE_PHOTO_PROGRAM: Final = """
import sys, skimage.data
from PIL import Image
Image.fromarray(skimage.data.astronaut()).save(sys.argv[1])
"""


def _run_process(command: list[str], environment: Any, text: str | None = None) -> str:
    done = subprocess.run(
        command, env=environment, input=text, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{command}: {done.stderr}")
    return done.stdout


def _set_up_person(folder: Path, name: str, url: str) -> dict[str, str]:
    own = {"ENTRENOUS_HOME": str(folder / name), "ENTRENOUS_PASSPHRASE": f"{name} has five words"}
    environment = os.environ | own | {"ENTRENOUS_UNDO": "0", "ENTRENOUS_PAUSE": "0"}
    _run_entrenous(environment, "setup", "--name", name, "--relay", url)
    return environment


def _run_entrenous(environment: dict[str, str], *arguments: str, text: str | None = None) -> str:
    return _run_process([sys.executable, "-m", "entrenous", *arguments], environment, text)


def _count_files_of_command(folder: Path, environment: dict[str, str], *arguments: str) -> int:
    walk = folder / "device.walk"
    _run_process(
        [sys.executable, "-c", _RECORDING_PROGRAM, *arguments], environment | {"WALK": str(walk)}
    )
    return _count_walked_files(walk)


def _count_walked_files(walk: Path) -> int:
    return len({line for line in walk.read_text().split() if line.startswith(str(SOURCE))})


def _count_files_of_server(walk: Path, process: subprocess.Popen[str]) -> int:
    walk.unlink(missing_ok=True)
    os.kill(process.pid, 12)
    while not walk.exists() or not walk.stat().st_size:
        if process.poll() is not None:
            raise SystemExit("a server ended")
    return _count_walked_files(walk)


@contextmanager
def _run_server(data: Path, server_kind: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run a relay or a gate on loopback, and record the source files whose functions run."""
    arguments = [server_kind, "run", "--data", str(data), "--listen", "127.0.0.1:0", "--json"]
    options = ["--judges", "0", "--no-slow-look"] if server_kind == "gate" else []
    environment = os.environ | {"WALK": str(data.with_suffix(".walk"))}
    with subprocess.Popen(
        [sys.executable, "-c", _RECORDING_PROGRAM, *arguments, *options],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["url"], process
        finally:
            process.terminate()


def main() -> None:
    """Print each figure beside its target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-walks", action="store_true", help="Count files and lines only.")
    figures = list(source_sizes())
    if not parser.parse_args().no_walks:
        figures += walk_lengths()
    for name, value, target in figures:
        sys.stdout.write(f"{name:60} {value:>8}   {target}\n")


if __name__ == "__main__":
    main()
