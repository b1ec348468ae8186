"""Run the transcripts in this folder: each is one scenario, most of them with a failure.

The commands run in this process, against real relays; test_readme.py starts real programs.

A file names what is set up (``given:``, see GIVENS), then the commands with their output and exit
status. Errors are printed on standard error only, and answers (also "nobody") on standard output.
"""

import json
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from skimage import data

from entrenous.base.environment import SystemClock
from entrenous.carry.http.relay_app import relay_app
from tests.carry.relays import disk_relay, serve_app
from tests.clips import encode_clip, hand_held_frames
from tests.ready import start_program
from tests.serving.certificates import write_certificate_files
from tests.transcripts.terminal import Terminal, matcher_with_words, parse_steps, run_in_process
from tests.vaults import make_vaults_open_quickly

pytestmark = pytest.mark.real

FOLDER = Path(__file__).parent
START_DOCUMENT = Path(__file__).parents[2] / "docs/start.md"
TRANSCRIPT_FILES = sorted(FOLDER.glob("*.txt"))
RELAY = "127.0.0.1:7801"  # as the transcripts write it
HOME = "/home/ana/.local/share/entrenous"
BOMB_SIDE_PX = 50_000


@dataclass(slots=True)
class Scenario:
    """A folder with a terminal, and relays if a scenario has any.

    ``seeds`` is a folder of worlds that were set up once; each scenario gets copies of them.
    """

    terminal: Terminal
    seeds: Path
    serving: ExitStack = field(default_factory=ExitStack)
    words: dict[str, str] = field(default_factory=dict)

    def put(self, name: str, content: bytes) -> None:
        (self.terminal.folder / name).write_bytes(content)

    def done(self, line: str) -> str:
        printed = self.terminal.types(line)
        assert printed.status == 0, printed.err
        return printed.out

    def copy_or_make(self, seed: str, make: Callable[["Scenario"], None]) -> None:
        """Copy the world ``seed`` into this folder; let ``make`` set it up the first time."""
        place = self.seeds / seed
        if not place.exists():
            place.mkdir()
            made = Scenario(replace(self.terminal, folder=place, home=place / "ana"), self.seeds)
            with made.serving:
                make(made)
        shutil.copytree(place, self.terminal.folder, dirs_exist_ok=True)

    def start_relay(self, name: str = "relay") -> str:
        """Start a relay, on its earlier port if it had one, and return its URL."""
        known = self.terminal.folder / f"{name}.url"
        port = int(known.read_text().rpartition(":")[2]) if known.exists() else 0
        relay = self.serving.enter_context(disk_relay(self.terminal.folder / name, SystemClock()))
        url = self.serving.enter_context(serve_app(relay_app(relay), port=port))
        known.write_text(url)
        return url

    def run_relay(self, *where: str) -> str:
        """Start a relay as a program, and return its URL."""
        command = [sys.executable, "-m", "entrenous", "relay", "run", "--json", *where]
        relay = start_program(command, stdout=subprocess.PIPE, cwd=self.terminal.folder)
        self.serving.callback(relay.communicate)
        self.serving.callback(relay.terminate)
        assert relay.stdout is not None
        return str(json.loads(relay.stdout.readline())["url"])


def photo_jpeg(name: str, side_px: int = 256) -> bytes:
    """Return a photograph as JPEG, at most ``side_px`` wide and high."""
    file = BytesIO()
    with Image.fromarray(getattr(data, name)()) as photo:
        photo.thumbnail((side_px, side_px))
        photo.save(file, "JPEG", quality=92)
    return file.getvalue()


def decompression_bomb() -> bytes:
    """Return a valid PNG of 50,000 x 50,000 black pixels, in a few hundred kilobytes."""
    packer = zlib.compressobj(1)
    row = bytes(1 + BOMB_SIDE_PX // 8) * 1000
    packed = b"".join(packer.compress(row) for _ in range(BOMB_SIDE_PX // 1000)) + packer.flush()
    side = BOMB_SIDE_PX.to_bytes(4, "big")
    chunks = ((b"IHDR", side + side + bytes([1, 0, 0, 0, 0])), (b"IDAT", packed), (b"IEND", b""))
    body = (
        len(chunk).to_bytes(4, "big") + kind + chunk + zlib.crc32(kind + chunk).to_bytes(4, "big")
        for kind, chunk in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def set_up_offline_ana(world: Scenario) -> None:
    world.done("entrenous setup --offline --name ana")


def set_up_ana_and_ben(world: Scenario, bens_relay: str = "relay") -> None:
    url = world.start_relay()
    bens = url if bens_relay == "relay" else world.start_relay(bens_relay)
    world.done(f"entrenous setup --name ana --relay {url}")
    world.done(f"ENTRENOUS_HOME=ben entrenous setup --name ben --relay {bens}")
    link = json.loads(world.done("ENTRENOUS_HOME=ben entrenous invite --json"))["link"]
    world.done(f"entrenous person add {link} --as ben")


def set_up_two_relays(world: Scenario) -> None:
    set_up_ana_and_ben(world, "bens relay")


def set_up_offline_window(world: Scenario) -> None:
    set_up_ana_and_ben(world)
    world.done("entrenous device offline --hours 168")


def run_operated_relay(world: Scenario) -> None:
    """Run a relay without a proxy, set up as docs/operate.md says."""
    pair = write_certificate_files(world.terminal.folder)
    world.done("entrenous relay init --out relay.toml")
    with (world.terminal.folder / "relay.toml").open("a") as settings:
        settings.write('data = "relay-data"\nlisten = "127.0.0.1:0"\nfree_mb_min = 0\n')
        settings.write(f'tls_cert = "{pair.cert.name}"\ntls_key = "{pair.key.name}"\n')
    world.done("entrenous relay check --settings relay.toml")
    port = world.run_relay("--settings", "relay.toml").rpartition(":")[2]
    world.words["localhost:7801"] = f"localhost:{port}"
    world.terminal = replace(world.terminal, extra={"ENTRENOUS_RELAY_CA": str(pair.cert)})


def bind_relay_address(world: Scenario, relay: str = "relay") -> None:
    """Let the transcript's address of a relay stand for the actual one."""
    url = (world.terminal.folder / f"{relay}.url").read_text()
    world.words[RELAY] = url.removeprefix("http://")


def start_with_relay(world: Scenario) -> None:
    world.copy_or_make("two people", set_up_ana_and_ben)
    bind_relay_address(world)
    world.start_relay()


def start_without_relay(world: Scenario) -> None:
    world.copy_or_make("two people", set_up_ana_and_ben)
    bind_relay_address(world)


def start_without_bens_relay(world: Scenario) -> None:
    world.copy_or_make("two relays", set_up_two_relays)
    bind_relay_address(world, "bens relay")
    world.start_relay()


def start_in_offline_window(world: Scenario) -> None:
    world.copy_or_make("a window", set_up_offline_window)
    bind_relay_address(world)


def set_up_mallory_and_dora(world: Scenario) -> None:
    url = (world.terminal.folder / "relay.url").read_text()
    for name in ("mallory", "dora"):
        world.done(f"ENTRENOUS_HOME={name} entrenous setup --name {name} --relay {url}")


GIVENS: dict[str, Callable[[Scenario], object]] = {
    "a relay as docs/operate.md sets one up, with a certificate of its own": run_operated_relay,
    "ana's device, set up offline": lambda w: w.copy_or_make("offline", set_up_offline_ana),
    "ana and ben at one relay; ana has added ben": start_with_relay,
    "ana and ben at one relay, which has stopped; ana has added ben": start_without_relay,
    "ana and ben at two relays, of which ben's has stopped; ana has added ben": start_without_bens_relay,
    "ana and ben at one relay, which has stopped; ana's device opens without it": start_in_offline_window,
    "mallory and dora at that relay": set_up_mallory_and_dora,
    "beach.jpg, a photo": lambda w: w.put("beach.jpg", photo_jpeg("astronaut")),
    "copies of beach.jpg, marked for ben and caro": lambda w: w.done(
        "entrenous mark beach.jpg --to ben --to caro --out copies"
    ),
    "other.jpg, another photo": lambda w: w.put("other.jpg", photo_jpeg("coffee")),
    "letter.jpg, which is no picture": lambda w: w.put("letter.jpg", b"Dear Caro,\n"),
    "cut.jpg, half of a photo": lambda w: w.put("cut.jpg", photo_jpeg("chelsea")[:6_000]),
    "holiday.mp4, a clip": lambda w: w.put(
        "holiday.mp4", encode_clip(hand_held_frames(size=(160, 120), seconds=2.0))
    ),
    "bomb.png, 50,000 x 50,000 pixels": lambda w: w.put("bomb.png", decompression_bomb()),
}


@pytest.fixture(scope="session")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("seeds")


@pytest.fixture
def world(tmp_path: Path, seeds: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scenario]:
    make_vaults_open_quickly(monkeypatch)
    world = Scenario(Terminal(tmp_path, tmp_path / "ana", run=run_in_process), seeds)
    world.words[HOME] = str(world.terminal.home)
    with world.serving:
        yield world


@pytest.mark.parametrize("file", TRANSCRIPT_FILES, ids=lambda file: file.stem)
def test_transcript(file: Path, world: Scenario) -> None:
    head, _, session = file.read_text().partition("\n\n")
    for line in head.splitlines():
        if line.startswith("given: "):
            GIVENS[line.removeprefix("given: ")](world)
    reader = matcher_with_words(world.words)
    steps = parse_steps(session.splitlines())
    assert steps
    for step in steps:
        printed = world.terminal.types(reader.says(step.typed), [*map(reader.says, step.given)])
        assert printed.status == step.status, printed
        main, other = (printed.out, printed.err)[:: 1 if step.status in {0, 1} else -1]
        assert reader.differences(step.aside, other) == "", step.typed
        assert reader.differences(step.prints, main) == "", step.typed


def test_first_steps_match_the_transcript_of_two_people() -> None:
    """Only the relay's address differs, and the transcript also traces a copy."""
    section = (
        START_DOCUMENT.read_text().split("## With a relay on your own machine")[1].split("\n## ")[0]
    )
    documented, home = [], ""
    for line in (line for block in section.split("```")[1::2] for line in block.split("\n")):
        if line.startswith("export "):
            home = line.removeprefix("export ")
        elif line.startswith("entrenous ") and not line.startswith("entrenous relay"):
            documented.append(f"{home} {line}".replace("http://127.0.0.1", "https://localhost"))
    session = (FOLDER / "two_people.txt").read_text().partition("\n\n")[2]
    typed = [step.typed for step in parse_steps(session.split("\n"))]
    assert [line for line in typed if " trace " not in line] == documented
    assert len(documented) > 8


def test_every_family_of_failure_has_a_transcript() -> None:
    statuses = {
        step.status
        for file in TRANSCRIPT_FILES
        for step in parse_steps(file.read_text().partition("\n\n")[2].splitlines())
    }
    assert {1, 2, 3, 4, 6, 7} <= statuses
