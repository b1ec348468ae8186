"""Run the transcripts in this folder, and compare docs/start.md with one of them.

The commands run in this process, against real relays; test_readme.py starts real programs.

A transcript names its set-up steps (``given:``, see SETUP_STEPS), and then contains the commands
with their output and exit status. Errors are printed only on standard error. Answers, including
the answer "nobody", are printed only on standard output.
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
RELAY = "127.0.0.1:7801"  # the relay's address in the transcripts
HOME = "/home/ana/.local/share/entrenous"
BOMB_SIDE_PX = 50_000


@dataclass(slots=True)
class Scenario:
    """The terminal (with its folder) and the relays that one transcript uses.

    ``prepared_folders`` contains the folders of set-ups that several scenarios copy.
    """

    terminal: Terminal
    prepared_folders: Path
    running_relays: ExitStack = field(default_factory=ExitStack)
    replacements: dict[str, str] = field(default_factory=dict)

    def write_file(self, name: str, content: bytes) -> None:
        (self.terminal.folder / name).write_bytes(content)

    def run_command(self, line: str) -> str:
        printed = self.terminal.run_line(line)
        assert printed.status == 0, printed.err
        return printed.out

    def copy_or_set_up(self, name: str, make: Callable[["Scenario"], None]) -> None:
        """Copy the set-up ``name`` into the scenario's folder. The first call makes the set-up."""
        prepared = self.prepared_folders / name
        if not prepared.exists():
            prepared.mkdir()
            source = Scenario(
                replace(self.terminal, folder=prepared, home=prepared / "ana"),
                self.prepared_folders,
            )
            with source.running_relays:
                make(source)
        shutil.copytree(prepared, self.terminal.folder, dirs_exist_ok=True)

    def start_relay(self, name: str = "relay") -> str:
        """Start a relay, on its earlier port if it has run before, and return its URL."""
        url_file = self.terminal.folder / f"{name}.url"
        port = int(url_file.read_text().rpartition(":")[2]) if url_file.exists() else 0
        relay = self.running_relays.enter_context(
            disk_relay(self.terminal.folder / name, SystemClock())
        )
        url = self.running_relays.enter_context(serve_app(relay_app(relay), port=port))
        url_file.write_text(url)
        return url

    def run_relay(self, *where: str) -> str:
        """Start a relay as a program, and return its URL."""
        command = [sys.executable, "-m", "entrenous", "relay", "run", "--json", *where]
        relay = start_program(command, stdout=subprocess.PIPE, cwd=self.terminal.folder)
        self.running_relays.callback(relay.communicate)
        self.running_relays.callback(relay.terminate)
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
    """Return a valid PNG of 50,000 x 50,000 black pixels; the file has about 1.4 MB."""
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


def set_up_offline_ana(scenario: Scenario) -> None:
    scenario.run_command("entrenous setup --offline --name ana")


def set_up_ana_and_ben(scenario: Scenario, bens_relay: str = "relay") -> None:
    url = scenario.start_relay()
    bens = url if bens_relay == "relay" else scenario.start_relay(bens_relay)
    scenario.run_command(f"entrenous setup --name ana --relay {url}")
    scenario.run_command(f"ENTRENOUS_HOME=ben entrenous setup --name ben --relay {bens}")
    link = json.loads(scenario.run_command("ENTRENOUS_HOME=ben entrenous invite --json"))["link"]
    scenario.run_command(f"entrenous person add {link} --as ben")


def set_up_two_relays(scenario: Scenario) -> None:
    set_up_ana_and_ben(scenario, "bens relay")


def set_up_offline_window(scenario: Scenario) -> None:
    set_up_ana_and_ben(scenario)
    scenario.run_command("entrenous device offline --hours 168")


def run_operated_relay(scenario: Scenario) -> None:
    """Run a relay without a proxy, with the settings of docs/operate.md."""
    pair = write_certificate_files(scenario.terminal.folder)
    scenario.run_command("entrenous relay init --out relay.toml")
    with (scenario.terminal.folder / "relay.toml").open("a") as settings:
        settings.write('data = "relay-data"\nlisten = "127.0.0.1:0"\nfree_mb_min = 0\n')
        settings.write(f'tls_cert = "{pair.cert.name}"\ntls_key = "{pair.key.name}"\n')
    scenario.run_command("entrenous relay check --settings relay.toml")
    port = scenario.run_relay("--settings", "relay.toml").rpartition(":")[2]
    scenario.replacements["localhost:7801"] = f"localhost:{port}"
    scenario.terminal = replace(
        scenario.terminal, extra_environment={"ENTRENOUS_RELAY_CA": str(pair.cert)}
    )


def bind_relay_address(scenario: Scenario, relay: str = "relay") -> None:
    """Replace the relay's address in the transcript by the actual address."""
    url = (scenario.terminal.folder / f"{relay}.url").read_text()
    scenario.replacements[RELAY] = url.removeprefix("http://")


def prepare_with_relay(scenario: Scenario) -> None:
    scenario.copy_or_set_up("two people", set_up_ana_and_ben)
    bind_relay_address(scenario)
    scenario.start_relay()


def prepare_without_relay(scenario: Scenario) -> None:
    scenario.copy_or_set_up("two people", set_up_ana_and_ben)
    bind_relay_address(scenario)


def prepare_without_bens_relay(scenario: Scenario) -> None:
    scenario.copy_or_set_up("two relays", set_up_two_relays)
    bind_relay_address(scenario, "bens relay")
    scenario.start_relay()


def prepare_offline_window(scenario: Scenario) -> None:
    scenario.copy_or_set_up("a window", set_up_offline_window)
    bind_relay_address(scenario)


def set_up_mallory_and_dora(scenario: Scenario) -> None:
    url = (scenario.terminal.folder / "relay.url").read_text()
    for name in ("mallory", "dora"):
        scenario.run_command(f"ENTRENOUS_HOME={name} entrenous setup --name {name} --relay {url}")


SETUP_STEPS: dict[str, Callable[[Scenario], object]] = {
    "a relay as docs/operate.md sets one up, with a certificate of its own": run_operated_relay,
    "ana's device, set up offline": lambda s: s.copy_or_set_up("offline", set_up_offline_ana),
    "ana and ben at one relay; ana has added ben": prepare_with_relay,
    "ana and ben at one relay, which has stopped; ana has added ben": prepare_without_relay,
    "ana and ben at two relays, of which ben's has stopped; ana has added ben": (
        prepare_without_bens_relay
    ),
    "ana and ben at one relay, which has stopped; ana's device opens without it": (
        prepare_offline_window
    ),
    "mallory and dora at that relay": set_up_mallory_and_dora,
    "beach.jpg, a photo": lambda s: s.write_file("beach.jpg", photo_jpeg("astronaut")),
    "copies of beach.jpg, marked for ben and caro": lambda s: s.run_command(
        "entrenous mark beach.jpg --to ben --to caro --out copies"
    ),
    "other.jpg, another photo": lambda s: s.write_file("other.jpg", photo_jpeg("coffee")),
    "letter.jpg, which is no picture": lambda s: s.write_file("letter.jpg", b"Dear Caro,\n"),
    "cut.jpg, half of a photo": lambda s: s.write_file("cut.jpg", photo_jpeg("chelsea")[:6_000]),
    "holiday.mp4, a clip": lambda s: s.write_file(
        "holiday.mp4", encode_clip(hand_held_frames(size=(160, 120), seconds=2.0))
    ),
    "bomb.png, 50,000 x 50,000 pixels": lambda s: s.write_file("bomb.png", decompression_bomb()),
}


@pytest.fixture(scope="session")
def prepared_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("seeds")


@pytest.fixture
def scenario(
    tmp_path: Path, prepared_folders: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Scenario]:
    make_vaults_open_quickly(monkeypatch)
    scenario = Scenario(Terminal(tmp_path, tmp_path / "ana", run=run_in_process), prepared_folders)
    scenario.replacements[HOME] = str(scenario.terminal.home)
    with scenario.running_relays:
        yield scenario


@pytest.mark.parametrize("file", TRANSCRIPT_FILES, ids=lambda file: file.stem)
def test_transcript(file: Path, scenario: Scenario) -> None:
    head, _, session = file.read_text().partition("\n\n")
    for line in head.splitlines():
        if line.startswith("given: "):
            SETUP_STEPS[line.removeprefix("given: ")](scenario)
    matcher = matcher_with_words(scenario.replacements)
    steps = parse_steps(session.splitlines())
    assert steps
    for step in steps:
        printed = scenario.terminal.run_line(
            matcher.substitute_words(step.command_line),
            [*map(matcher.substitute_words, step.input_lines)],
        )
        assert printed.status == step.status, printed
        main, other = (printed.out, printed.err)[:: 1 if step.status in {0, 1} else -1]
        assert matcher.differences(step.other_output, other) == "", step.command_line
        assert matcher.differences(step.output, main) == "", step.command_line


def test_first_steps_match_the_transcript_of_two_people() -> None:
    """In docs/start.md, the relay has a different address, and no copy is traced."""
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
    typed = [step.command_line for step in parse_steps(session.split("\n"))]
    assert [line for line in typed if " trace " not in line] == documented
    assert len(documented) > 8


def test_transcripts_contain_exit_statuses_1_2_3_4_6_and_7() -> None:
    statuses = {
        step.status
        for file in TRANSCRIPT_FILES
        for step in parse_steps(file.read_text().partition("\n\n")[2].splitlines())
    }
    assert {1, 2, 3, 4, 6, 7} <= statuses
