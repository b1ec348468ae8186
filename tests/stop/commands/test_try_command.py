"""``entrenous gate try``: a dry run on a real database, with the decoder in its sandbox."""

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
from tests.clips import hand_held_frames, encode_clip

pytestmark = pytest.mark.slow


@pytest.fixture
def photo(tmp_path: Path) -> Any:
    """Return a function that writes a changed photograph to a file and returns its path."""
    plain = np.asarray(skimage.data.astronaut())

    def write(name: str, change: Any = lambda pixels: pixels) -> str:
        file, jpeg_file = tmp_path / f"{name}.jpg", io.BytesIO()
        Image.fromarray(np.ascontiguousarray(change(plain))).save(jpeg_file, "JPEG", quality=85)
        file.write_bytes(jpeg_file.getvalue())
        return str(file)

    return write


@pytest.fixture
def gate(tmp_path: Path, capsys: pytest.CaptureFixture[str], photo: Any) -> Any:
    """Create a gate with the photograph in a confirmed list; return a function for commands."""
    run(["fingerprint", photo("registered"), "--json"], {})
    listed = tmp_path / "list.csv"
    listed.write_text(json.loads(capsys.readouterr().out)["hex"] + "\n")
    data = ["--data", str(tmp_path / "gate")]
    run(["gate", "bank", "import", str(listed), "--bank", "site", "--confirmed", *data], {})
    capsys.readouterr()

    def typed(*words: str) -> tuple[int, str]:
        return run(["gate", *words, *data], {}), capsys.readouterr().out

    return typed


def in_a_collage(pixels: Any) -> Any:
    """Return the photograph beside another picture, above both turned upside down."""
    cat = np.asarray(skimage.data.chelsea())
    other = np.resize(cat[:300, :400], (300, 400, 3)).repeat(2, 0).repeat(2, 1)[:512, :512]
    upper = np.concatenate([other, pixels], axis=1)
    return np.concatenate([upper, np.fliplr(upper[::-1])], axis=0)


def test_try_refuses_a_mirrored_picture_and_stores_nothing(gate: Any, photo: Any) -> None:
    status, said = gate("try", photo("mirrored", np.fliplr), "--json")
    got = json.loads(said)
    (match,) = got["matches"]
    assert (status, got["schema"], got["decision"]) == (0, "entrenous/decision/1", "refuse")
    assert (match["bank"], match["how"], match["distance"] <= 12) == ("site", "mirror", True)
    assert got["ms"] > 0
    assert got["would"] is None


def test_try_deep_holds_a_collage(gate: Any, photo: Any) -> None:
    collage = photo("collage", in_a_collage)
    assert json.loads(gate("try", collage, "--json")[1])["decision"] == "let through"
    got = json.loads(gate("try", collage, "--deep", "--json")[1])
    assert got["decision"] == "hold"
    assert "larger picture" in got["matches"][0]["how"]


def test_try_in_shadow_mode(gate: Any, photo: Any) -> None:
    gate("bank", "policy", "site", "--shadow")
    _, said = gate("try", photo("same"))
    assert said.startswith("It would be answered: let through.\n  Without shadow mode: refuse.\n")


def test_try_reports_a_file_that_is_no_picture(gate: Any, tmp_path: Path) -> None:
    text_file = tmp_path / "words.txt"
    text_file.write_text("not a picture")
    assert gate("try", str(text_file), "--json")[0] == 7


@pytest.mark.real
def test_try_decodes_clips_and_sounds_in_a_sandbox(gate: Any, tmp_path: Path) -> None:
    """A film that shows a confirmed photograph is held, not refused."""
    film, note, broken = (tmp_path / name for name in ("film.jpg", "note", "broken.mp4"))
    plain = np.asarray(skimage.data.astronaut())
    film.write_bytes(
        encode_clip([*hand_held_frames("coffee", size=(512, 512), seconds=1.0), *[plain] * 18])
    )
    note.write_bytes(coded(voice(6.0), 16_000, "libopus", "ogg", 24_000, 48_000))
    broken.write_bytes(film.read_bytes()[:-3000])
    got = json.loads(gate("try", str(film), "--json")[1])
    assert (got["decision"], got["matches"][0]["bank"]) == ("hold", "site")
    assert "half seconds" in got["matches"][0]["how"]
    assert json.loads(gate("try", str(note), "--json")[1])["decision"] == "let through"
    got = json.loads(gate("try", str(broken), "--json")[1])
    assert (got["decision"], got["matches"]) == ("hold", [])
