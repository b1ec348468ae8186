"""Tests of finding a vault and exports in synchronized folders, and pictures with a location."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from entrenous.archive.export import KEY_FILE_NAME
from entrenous.learn.facts import shipped_sync_services
from entrenous.learn.picture_places import NoSuchFolder, find_pictures_with_place
from entrenous.learn.this_machine import (
    EXPORT_KIND_BY_NAME_PATTERN,
    SyncedVaultOrExport,
    find_synced_vault_and_exports,
)

SYNC_SERVICES = shipped_sync_services().service


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def services_found(vault: Path, home: Path, environment: dict[str, str] | None = None) -> set[str]:
    vault.mkdir(parents=True, exist_ok=True)
    return {
        one.service
        for one in find_synced_vault_and_exports(vault, home, environment or {}, SYNC_SERVICES)
        or ()
    }


def write_file(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_vault_outside_of_synchronized_folders_is_not_found(home: Path) -> None:
    assert services_found(home / ".local/share/entrenous", home) == set()


def test_dropbox_is_known_by_its_settings(home: Path) -> None:
    dropbox = home.parent / "elsewhere" / "Dropbox"
    (dropbox / "deep").mkdir(parents=True)
    settings = {"personal": {"path": str(dropbox), "host": 1, "is_team": False}}
    write_file(home / ".dropbox/info.json", json.dumps(settings))
    assert services_found(dropbox / "deep/entrenous", home) == {"Dropbox"}
    # ~/.dropbox contains Dropbox's settings, and does not mark a synchronized folder.
    assert services_found(home / "entrenous", home) == set()


def test_dropbox_is_known_by_its_marker(home: Path) -> None:
    write_file(home / "Box/.dropbox", "")
    assert services_found(home / "Box/things/entrenous", home) == {"Dropbox"}


def test_onedrive_is_known_by_an_environment_variable(home: Path) -> None:
    cloud = home / "One Drive of Ana"
    assert services_found(cloud / "entrenous", home, {"OneDriveConsumer": str(cloud)}) == {
        "OneDrive"
    }
    assert services_found(cloud / "entrenous", home, {"OneDriveConsumer": ""}) == set()


@pytest.mark.parametrize(
    ("folder", "service"),
    [
        ("Library/CloudStorage/OneDrive-Personal", "OneDrive"),
        ("Library/CloudStorage/GoogleDrive-ana@example.org/My Drive", "Google Drive"),
        ("Library/CloudStorage/Dropbox", "Dropbox"),
        ("Library/Mobile Documents/com~apple~CloudDocs", "iCloud Drive"),
        ("iCloudDrive", "iCloud Drive"),
    ],
)
def test_default_folders_of_services_are_known(folder: str, service: str, home: Path) -> None:
    assert services_found(home / folder / "entrenous", home) == {service}


def test_google_drive_is_known_by_its_marker(home: Path) -> None:
    (home / "Work/.tmp.driveupload").mkdir(parents=True)
    assert services_found(home / "Work/entrenous", home) == {"Google Drive"}


def test_nextcloud_is_known_by_its_settings_and_its_journal(home: Path) -> None:
    (home / "Cloud").mkdir()
    write_file(
        home / ".config/Nextcloud/nextcloud.cfg",
        f"[Accounts]\n0\\url=https://example.org\n0\\Folders\\1\\localPath={home}/Cloud/\n",
    )
    assert services_found(home / "Cloud/entrenous", home) == {"Nextcloud"}
    write_file(home / "Other/.sync_0123456789ab.db", "")
    assert services_found(home / "Other/entrenous", home) == {"Nextcloud"}


@pytest.mark.parametrize("settings_folder", [".local/state/syncthing", ".config/syncthing"])
def test_syncthing_is_known_by_its_settings(settings_folder: str, home: Path) -> None:
    (home / "Ana & Ben").mkdir()
    folder = f'<folder id="a-b" label="us" path="{home}/Ana &amp; Ben" type="sendreceive">'
    text = f'<configuration version="37">{folder}</folder>'
    write_file(home / settings_folder / "config.xml", text)
    assert services_found(home / "Ana & Ben/entrenous", home) == {"Syncthing"}


@pytest.mark.parametrize("is_folder", [True, False])
def test_syncthing_is_known_by_its_marker(*, is_folder: bool, home: Path) -> None:
    marker = home / "Sync/.stfolder"
    marker.parent.mkdir()
    marker.mkdir() if is_folder else marker.touch()
    assert services_found(home / "Sync/entrenous", home) == {"Syncthing"}


def test_link_into_a_synchronized_folder_is_followed(home: Path) -> None:
    (home / "iCloudDrive/entrenous").mkdir(parents=True)
    (home / "vault").symlink_to(home / "iCloudDrive/entrenous")
    assert services_found(home / "vault", home) == {"iCloud Drive"}


def test_exports_in_a_synchronized_folder_are_named(home: Path) -> None:
    key_file = write_file(home / "iCloudDrive/of ana/archive.key.age", "age")
    item = write_file(home / "iCloudDrive/case-7-lunar-otter-item-1.png", "x")
    write_file(home / "iCloudDrive/holiday.png", "x")
    found = find_synced_vault_and_exports(home / "entrenous", home, {}, SYNC_SERVICES)
    assert found is not None
    assert set(found) == {
        SyncedVaultOrExport("iCloud Drive", "an archive", str(key_file)),
        SyncedVaultOrExport("iCloud Drive", "an exported item of a case", str(item)),
    }


def test_synchronized_folder_with_too_many_files_gives_unknown(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        write_file(home / f"iCloudDrive/a/{number}.png", "x")
    write_file(home / "iCloudDrive/b/archive.key.age", "age")
    monkeypatch.setattr("entrenous.learn.this_machine.SYNCED_FILES_EXAMINED_MAX", 4)
    vault = home / "entrenous"
    assert find_synced_vault_and_exports(vault, home, {}, SYNC_SERVICES) is None
    (home / "iCloudDrive/b/archive.key.age").unlink()
    assert find_synced_vault_and_exports(vault, home, {}, SYNC_SERVICES) == ()


@pytest.mark.real
def test_folders_that_cannot_be_listed_give_unknown(home: Path) -> None:
    """The command is run without the rights of a superuser."""
    unlisted = [home / "pictures/unlisted", home / "iCloudDrive/unlisted"]
    save_picture(unlisted[0] / "home.jpg", with_location=True)
    write_file(unlisted[1] / "archive.key.age", "age")
    for folder in unlisted:
        folder.chmod(0)
    give_up = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.geteuid() == 0 else []
    command = [*give_up, sys.executable, "-m", "entrenous", "check-up", "--json"]
    environment = {**os.environ, "HOME": str(home), "ENTRENOUS_HOME": str(home / "entrenous")}
    done = subprocess.run(
        [*command, "--folder", str(home / "pictures")],
        capture_output=True,
        check=False,
        env=environment,
        stdin=subprocess.DEVNULL,
    )
    result = json.loads(done.stdout)
    assert (result["pictures"]["read"], result["pictures"]["unread"]) == (0, 1)
    paths = {one["check"]: one["path"] for one in result["advice"]}
    assert (paths["pictures with a place"], paths["synced folders"]) == ("unknown", "unknown")


def test_key_file_of_an_archive_is_recognized_by_its_name() -> None:
    assert KEY_FILE_NAME in EXPORT_KIND_BY_NAME_PATTERN


@pytest.mark.parametrize("text", ["", "{", '{"personal": {"path": 7}}', "\0" * 50])
def test_invalid_settings_of_dropbox_are_ignored(text: str, home: Path) -> None:
    write_file(home / ".dropbox/info.json", text)
    assert services_found(home / "entrenous", home) == set()


# Pictures that contain a location.


def save_picture(file: Path, *, with_location: bool) -> Path:
    exif = Image.Exif()
    exif[0x010F] = "A camera"
    if with_location:
        exif.get_ifd(0x8825).update({1: "N", 2: (50.0, 5.0, 1.0), 3: "E", 4: (14.0, 2.0, 3.0)})
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (16, 16)).save(file, exif=exif)
    return file


def test_pictures_with_a_location_are_counted_and_named(tmp_path: Path) -> None:
    save_picture(tmp_path / "home.jpg", with_location=True)
    save_picture(tmp_path / "2026/garden.png", with_location=True)
    save_picture(tmp_path / "2026/indoors.webp", with_location=False)
    write_file(tmp_path / "notes.txt", "GPSLatitude")
    write_file(tmp_path / "empty.jpg", "")
    found = find_pictures_with_place(tmp_path)
    assert (found.read, found.unread, found.whole) == (3, 0, True)
    assert set(found.with_place) == {"home.jpg", str(Path("2026/garden.png"))}


def test_search_changes_no_file(tmp_path: Path) -> None:
    file = save_picture(tmp_path / "home.jpg", with_location=True)
    os.utime(file, (1_000_000_000, 1_000_000_000))
    before = (file.read_bytes(), file.stat().st_mtime_ns, sorted(tmp_path.rglob("*")))
    find_pictures_with_place(tmp_path)
    assert (file.read_bytes(), file.stat().st_mtime_ns, sorted(tmp_path.rglob("*"))) == before


def test_links_are_not_followed(tmp_path: Path) -> None:
    save_picture(tmp_path / "far/home.jpg", with_location=True)
    (tmp_path / "near").mkdir()
    (tmp_path / "near/home.jpg").symlink_to(tmp_path / "far/home.jpg")
    (tmp_path / "near/round").symlink_to(tmp_path / "near")
    assert find_pictures_with_place(tmp_path / "near").read == 0


def test_oversized_or_damaged_picture_is_counted_as_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = save_picture(tmp_path / "a.jpg", with_location=True).read_bytes()
    at = whole.index(b"Exif\0\0") + 10
    (tmp_path / "b.jpg").write_bytes(whole[:at] + b"\xff\xff\xff\xff" + whole[at + 4 :])
    assert find_pictures_with_place(tmp_path).unread == 1
    monkeypatch.setattr("entrenous.learn.picture_places.PICTURE_BYTES_MAX", 100)
    assert (found := find_pictures_with_place(tmp_path)).unread == 2
    assert found.with_place == ()


def test_search_of_a_folder_with_too_many_files_is_incomplete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        save_picture(tmp_path / f"{number}.jpg", with_location=True)
    monkeypatch.setattr("entrenous.learn.picture_places.EXAMINED_FILES_MAX", 4)
    found = find_pictures_with_place(tmp_path)
    assert (found.whole, len(found.with_place)) == (False, 4)
    monkeypatch.setattr("entrenous.learn.picture_places.EXAMINED_FILES_MAX", 5)
    assert find_pictures_with_place(tmp_path).whole


def test_path_that_is_not_a_folder_is_an_error(tmp_path: Path) -> None:
    for place in (tmp_path / "none", write_file(tmp_path / "file", "x")):
        with pytest.raises(NoSuchFolder):
            find_pictures_with_place(place)
