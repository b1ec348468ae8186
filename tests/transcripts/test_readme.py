"""Tests of the README's terminal session and picture, and of the comparison of outputs."""

import io
from pathlib import Path

import pytest
from PIL import Image
from skimage import data

from tests.transcripts.terminal import OutputMatcher, Terminal, matcher_with_words, parse_steps

ROOT = Path(__file__).parents[2]
README_HOME = "/home/ana/.local/share/entrenous"  # the home folder in the README


def readme_session() -> list[str]:
    """Return the lines of the README's only console block."""
    blocks = (ROOT / "README.md").read_text().split("```console\n")[1:]
    assert len(blocks) == 1
    return blocks[0].split("\n```")[0].splitlines()


def save_photo(path: Path) -> None:
    Image.fromarray(data.astronaut()).save(path, quality=95)


def save_leak(copy: Path, path: Path) -> None:
    """Crop a copy to 71 % of its area, make it smaller and save it again."""
    with Image.open(copy) as picture:
        width, height = picture.size
        cut = picture.crop((40, 30, 40 + int(0.84 * width), 30 + int(0.84 * height)))
    cut.resize((400, 400)).save(path, quality=50)


@pytest.mark.real
def test_program_prints_what_the_readme_shows(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, tmp_path / "home")
    matcher = matcher_with_words({README_HOME: str(terminal.home)})
    steps = parse_steps(readme_session())
    save_photo(tmp_path / "beach.jpg")
    for step in steps:
        if "leaked.jpg" in step.command_line:
            save_leak(next(tmp_path.glob("copies/*-2.jpg")), tmp_path / "leaked.jpg")
        printed = terminal.run_line(matcher.substitute_words(step.command_line))
        assert printed.err == ""
        assert matcher.differences(step.output, printed.out) == "", step.command_line
        assert printed.status == step.status, step.command_line
    assert {step.command_line.split()[1] for step in steps} == {"setup", "mark", "trace"}


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("message 7-lunar-otter; if one gets out", "message 3-calm-heron; if one got out"),
        ("copies/7-lunar-otter-1.jpg  is for ben", "copies/3-calm-heron-1.jpg  is for caro"),
        ("copies/7-lunar-otter-1.jpg  is for ben", "copies/photo-1.jpg  is for ben"),
        ("your photo 7-lunar-otter, cropped to 71 %", "your photo 3-calm-heron, cropped to 40 %"),
        ("your photo 7-lunar-otter, the whole of it", "your photo 3-calm-heron, cropped to 99 %"),
        ("next: entrenous case open --from-trace 1", "next: entrenous case open --from-trace 2"),
    ],
)
def test_other_output_than_the_readme_shows_is_detected(written: str, printed: str) -> None:
    assert OutputMatcher().difference(written, printed) != ""


def test_written_name_stands_for_one_printed_name() -> None:
    matcher = OutputMatcher()
    assert matcher.difference("message 7-lunar-otter", "message 3-calm-heron") == ""
    assert matcher.difference("your photo 7-lunar-otter", "your photo 3-calm-heron") == ""
    assert matcher.difference("your photo 7-lunar-otter", "your photo 4-deep-fjord") != ""
    assert matcher.difference("your photo 8-happy-lark", "your photo 3-calm-heron") != ""


def test_extra_or_missing_line_is_detected() -> None:
    assert OutputMatcher().differences(("one", "two"), "one\n") != ""
    assert OutputMatcher().differences(("one",), "one\ntwo\n") != ""
    assert OutputMatcher().differences(("one", "two"), "one\ntwo\n") == ""


def test_picture_of_the_readme_exists_and_is_small() -> None:
    shown = (ROOT / "docs" / "pictures" / "demo.png").read_bytes()
    assert len(shown) < 300_000
    with Image.open(io.BytesIO(shown)) as picture:
        assert picture.format == "PNG"
        assert picture.width >= 600
