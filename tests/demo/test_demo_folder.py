"""Tests of preparing the demo's folder: emptied and kept folders, symlinks, and errors."""

from pathlib import Path

import pytest

from entrenous.base.picture import UnwritableFolder
from entrenous.demo.commands import MARKER_FILE_NAME, NotADemoFolder, prepare_empty_folder


@pytest.mark.parametrize("name", ["summary.json", "photo.jpg", "world", "diary.txt"])
def test_folder_not_made_by_the_demo_is_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "mine").write_text("mine")
    with pytest.raises(NotADemoFolder):
        prepare_empty_folder(tmp_path)
    assert (tmp_path / name / "mine").read_text() == "mine"
    assert [place.name for place in tmp_path.iterdir()] == [name]


def test_demo_folder_is_emptied_and_stays_a_demo_folder(tmp_path: Path) -> None:
    out = tmp_path / "some" / "demo-out"
    for _ in range(2):
        prepare_empty_folder(out)
        assert [place.name for place in out.iterdir()] == [MARKER_FILE_NAME]
        (out / "world").mkdir()
        (out / "world" / "relay.log").touch()
        (out / "photo.jpg").touch()


def test_empty_folder_becomes_a_demo_folder(tmp_path: Path) -> None:
    prepare_empty_folder(tmp_path)
    assert (tmp_path / MARKER_FILE_NAME).is_file()


def test_symlink_is_removed_and_its_target_stays(tmp_path: Path) -> None:
    elsewhere, out = tmp_path / "elsewhere", tmp_path / "out"
    elsewhere.mkdir()
    (elsewhere / "mine").touch()
    prepare_empty_folder(out)
    (out / "link").symlink_to(elsewhere)
    prepare_empty_folder(out)
    assert not (out / "link").is_symlink()
    assert (elsewhere / "mine").exists()


def test_error_names_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UnwritableFolder, match="file"):
        prepare_empty_folder(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"
