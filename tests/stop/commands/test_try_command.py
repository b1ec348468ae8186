"""``entrenous gate try``: dry runs on a real database, with sandboxed decoders."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from PIL import Image

from bench.sounds.attacks import coded
from bench.sounds.material import voice
from entrenous.cli import run
from tests.clips import encode_clip, hand_held_frames

pytestmark = pytest.mark.slow


@pytest.fixture
def write_photo(tmp_path: Path) -> Any:
    """Return a function that writes an edited photograph to a file and returns the file's path."""
    plain = np.asarray(skimage.data.astronaut())

    def write(name: str, edit: Any = lambda pixels: pixels) -> str:
        file, jpeg_file = tmp_path / f"{name}.jpg", io.BytesIO()
        Image.fromarray(np.ascontiguousarray(edit(plain))).save(jpeg_file, "JPEG", quality=85)
        file.write_bytes(jpeg_file.getvalue())
        return str(file)

    return write


@pytest.fixture
def gate_cli(tmp_path: Path, capsys: pytest.CaptureFixture[str], write_photo: Any) -> Any:
    """Create a gate with the photograph in a confirmed list; return a command runner."""
    run(["fingerprint", write_photo("registered"), "--json"], {})
    listed = tmp_path / "list.csv"
    listed.write_text(json.loads(capsys.readouterr().out)["hex"] + "\n")
    data = ["--data", str(tmp_path / "gate")]
    run(["gate", "bank", "import", str(listed), "--bank", "site", "--confirmed", *data], {})
    capsys.readouterr()

    def run_command(*arguments: str) -> tuple[int, str]:
        return run(["gate", *arguments, *data], {}), capsys.readouterr().out

    return run_command


def collage_with(pixels: Any) -> Any:
    """Return a row of two pictures above the same row rotated by 180 degrees."""
    cat = np.asarray(skimage.data.chelsea())
    other = np.resize(cat[:300, :400], (300, 400, 3)).repeat(2, 0).repeat(2, 1)[:512, :512]
    upper = np.concatenate([other, pixels], axis=1)
    return np.concatenate([upper, np.fliplr(upper[::-1])], axis=0)


def test_try_refuses_a_mirrored_picture(gate_cli: Any, write_photo: Any) -> None:
    status, said = gate_cli("try", write_photo("mirrored", np.fliplr), "--json")
    got = json.loads(said)
    (match,) = got["matches"]
    assert (status, got["schema"], got["decision"]) == (0, "entrenous/decision/1", "refuse")
    assert (match["bank"], match["how"], match["distance"] <= 12) == ("site", "mirror", True)
    assert got["ms"] > 0
    assert got["would"] is None


def test_only_a_deep_try_holds_a_collage(gate_cli: Any, write_photo: Any) -> None:
    collage = write_photo("collage", collage_with)
    assert json.loads(gate_cli("try", collage, "--json")[1])["decision"] == "let through"
    got = json.loads(gate_cli("try", collage, "--deep", "--json")[1])
    assert got["decision"] == "hold"
    assert "larger picture" in got["matches"][0]["how"]


def test_try_in_shadow_mode_shows_the_decision_without_it(gate_cli: Any, write_photo: Any) -> None:
    gate_cli("bank", "policy", "site", "--shadow")
    _, said = gate_cli("try", write_photo("same"))
    assert said.startswith("It would be answered: let through.\n  Without shadow mode: refuse.\n")


def test_try_of_a_file_of_no_known_kind_exits_with_7(gate_cli: Any, tmp_path: Path) -> None:
    text_file = tmp_path / "text.txt"
    text_file.write_text("not a picture")
    assert gate_cli("try", str(text_file), "--json")[0] == 7


@pytest.mark.real
def test_try_decides_about_clips_and_sounds(gate_cli: Any, tmp_path: Path) -> None:
    """A film that shows the listed photograph is held, and a voice note is let through.

    A truncated film is held although it matches nothing.
    """
    film, note, broken = (tmp_path / name for name in ("film.jpg", "note", "broken.mp4"))
    plain = np.asarray(skimage.data.astronaut())
    film.write_bytes(
        encode_clip([*hand_held_frames("coffee", size=(512, 512), seconds=1.0), *[plain] * 18])
    )
    note.write_bytes(coded(voice(6.0), 16_000, "libopus", "ogg", 24_000, 48_000))
    broken.write_bytes(film.read_bytes()[:-3000])
    got = json.loads(gate_cli("try", str(film), "--json")[1])
    assert (got["decision"], got["matches"][0]["bank"]) == ("hold", "site")
    assert "half seconds" in got["matches"][0]["how"]
    assert json.loads(gate_cli("try", str(note), "--json")[1])["decision"] == "let through"
    got = json.loads(gate_cli("try", str(broken), "--json")[1])
    assert (got["decision"], got["matches"]) == ("hold", [])
