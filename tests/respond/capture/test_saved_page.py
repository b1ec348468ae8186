"""Tests of describing a file by its bytes, and of reading a saved page with its folder."""

import gzip
import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from entrenous.respond.capture.saved_page import describe_file, refers_to_folder
from entrenous.respond.commands.add import read_file_or_saved_page
from entrenous.respond.open_case import TooLargeToKeep, TooManySavedFiles


def image_file(image_format: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, image_format)
    return file.getvalue()


def zip_with_files(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for name in names:
            made.writestr(zipfile.ZipInfo(name), b"{}")
    return file.getvalue()


MHTML = b"""\
From: <Saved by Blink>
Snapshot-Content-Location: https://pictures.example/p/1
Subject: A post
MIME-Version: 1.0
Content-Type: multipart/related;
\ttype="text/html"; boundary="----MultipartBoundary--x----"

------MultipartBoundary--x----
"""


@pytest.mark.parametrize(
    ("data", "description"),
    [
        (
            b"<!DOCTYPE html>\n<!-- saved from url=(0026)https://a.example/ -->",
            "a saved page (HTML)",
        ),
        (b"\xef\xbb\xbf  <HTML lang=en>", "a saved page (HTML)"),
        (b'<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "x">', "a saved page (HTML)"),
        (b"<!-- words --><html>", "a saved page (HTML)"),
        (MHTML, "a saved page (MHTML)"),
        (MHTML.replace(b"\n", b"\r\n"), "a saved page (MHTML)"),
        (b"%PDF-1.7\n", "a PDF"),
        (image_file("PNG"), "a screenshot or picture (PNG)"),
        (image_file("JPEG"), "a screenshot or picture (JPEG)"),
        (b"WARC/1.1\r\nWARC-Type: warcinfo\r\n", "a web archive (WARC)"),
        (gzip.compress(b"WARC/1.0\r\n" * 50, mtime=0), "a web archive (WARC)"),
        (zip_with_files("datapackage.json", "archive/data.warc.gz"), "a web archive (WACZ)"),
        (zip_with_files("a.txt"), "a file"),
        (b"PK\x03\x04 broken", "a file"),
        (b"\x1f\x8b broken", "a file"),
        (b"plain words about <html>", "a file"),
        (b"Content-Type: text/plain\n\nwords", "a file"),
        (b"OggS\0\2", "a sound"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "a video"),
    ],
)
def test_file_is_described_by_its_bytes(data: bytes, description: str) -> None:
    assert describe_file(data) == description


@given(st.binary(max_size=300))
def test_any_bytes_are_described(data: bytes) -> None:
    for start in (b"", b"PK\x03\x04", b"\x1f\x8b\x08\0", b"<!--", b"%PDF", b"A: b\n"):
        assert describe_file(start + data)


@pytest.mark.parametrize("folder", ["A post_files", "A post-Dateien", "A post_fichiers"])
def test_page_saved_with_a_folder_is_stored_with_the_files_of_the_folder(
    tmp_path: Path, folder: str
) -> None:
    page = f'<!DOCTYPE html><img src="./{folder.replace(" ", "%20")}/p.jpg">'.encode()
    saved = tmp_path / "A post.html"
    saved.write_bytes(page)
    (tmp_path / folder / "deeper").mkdir(parents=True)
    (tmp_path / folder / "p.jpg").write_bytes(b"picture")
    (tmp_path / folder / "deeper" / "s.css").write_bytes(b"style")
    (tmp_path / folder / "link").symlink_to("/etc/passwd")
    (tmp_path / "A post too_files").mkdir()
    data, what = read_file_or_saved_page(saved)
    assert what == "a saved page with 2 files (ZIP)"
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            "A post.html": page,
            f"{folder}/deeper/s.css": b"style",
            f"{folder}/p.jpg": b"picture",
        }
    assert read_file_or_saved_page(saved)[0] == data  # A second reading gives the same bytes.


def test_folder_that_the_page_does_not_use_is_left_alone(tmp_path: Path) -> None:
    saved = tmp_path / "post.html"
    saved.write_bytes(b"<html>words</html>")
    (tmp_path / "post_files").mkdir()
    (tmp_path / "post_files" / "x").write_bytes(b"something else")
    assert read_file_or_saved_page(saved) == (b"<html>words</html>", "a saved page (HTML)")


def test_oversized_saved_page_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("entrenous.respond.commands.add.EVIDENCE_ITEM_BYTES_MAX", 100)
    (tmp_path / "p.html").write_bytes(b'<html><img src="p_files/a">')
    (tmp_path / "p_files").mkdir()
    (tmp_path / "p_files" / "a").write_bytes(bytes(100))
    with pytest.raises(TooLargeToKeep):
        read_file_or_saved_page(tmp_path / "p.html")
    monkeypatch.setattr("entrenous.respond.commands.add._SAVED_PAGE_FILES_MAX", 0)
    with pytest.raises(TooManySavedFiles, match="more than 0 files"):
        read_file_or_saved_page(tmp_path / "p.html")


@pytest.mark.parametrize(
    ("reference", "is_found"),
    [("a&amp;b_files/x", True), ("a%26b_files/x", True), ("a&b_files", False)],
)
def test_reference_to_a_folder_with_an_ampersand_is_found_only_if_encoded(
    *, reference: str, is_found: bool
) -> None:
    assert refers_to_folder(f'<img src="{reference}">'.encode(), "a&b_files") is is_found
