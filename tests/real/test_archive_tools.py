"""Tests of archives with age, rage, and the npm packages age-encryption and @kanru/rage-wasm.

Each program opens an archive that we exported, and packs the same content into an archive that we
import. For age and rage, the content is unpacked and packed again by ``tar``. A test is skipped if
a program is missing. The npm packages are installed into a temporary folder. @kanru/rage-wasm is
rage's library in WebAssembly.
"""

import shlex
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from entrenous.archive.export import KEY_FILE_NAME, TAR_FILE_NAME, export_archive, import_archive
from entrenous.base.identifiers import RecipientId
from entrenous.base.secret import Secret
from entrenous.device.device import Device
from entrenous.send.copies.mark_file import mark_picture_copies
from tests.archive.archives_in_memory import ignore_progress, set_up_offline_device, stored_contents
from tests.send.send_device import SMALL_PICTURE, Network

pytestmark = pytest.mark.real

PASSPHRASE = "four unrelated words"
TYPAGE_PROGRAM = """
import { readFileSync, writeFileSync } from "node:fs";
import { Decrypter, Encrypter, generateX25519Identity, identityToRecipient } from "age-encryption";
const [way, words, folder] = process.argv.slice(2);
const key = `${folder}/archive.key.age`, tar = `${folder}/archive.tar.age`;
if (way === "open") {
  const first = new Decrypter();
  first.addPassphrase(words);
  const identity = (await first.decrypt(readFileSync(key), "text")).trim();
  const second = new Decrypter();
  second.addIdentity(identity);
  writeFileSync(`${folder}/opened.tar`, await second.decrypt(readFileSync(tar)));
} else {
  const identity = await generateX25519Identity();
  const first = new Encrypter();
  first.setPassphrase(words);
  first.setScryptWorkFactor(12);
  writeFileSync(key, await first.encrypt(identity + "\\n"));
  const second = new Encrypter();
  second.addRecipient(await identityToRecipient(identity));
  writeFileSync(tar, await second.encrypt(readFileSync(`${folder}/plain.tar`)));
}
"""
#: @kanru/rage-wasm is made for browsers and needs a window. When the package opens an archive, it
#: measures how fast the machine is, and on a slow machine it might refuse the archive. So this
#: program stops the clock first.
RAGE_PROGRAM = """
import { readFileSync, writeFileSync } from "node:fs";
globalThis.self = globalThis.window = globalThis;
globalThis.Window = Object;
const rage = await import("./node_modules/@kanru/rage-wasm/dist/index.js");
const [way, words, folder] = process.argv.slice(2);
const key = `${folder}/archive.key.age`, tar = `${folder}/archive.tar.age`;
if (way === "open") {
  globalThis.performance = { now: () => 0 };
  const identity = await rage.decrypt_with_user_passphrase(words, readFileSync(key));
  const text = new TextDecoder().decode(identity).trim();
  writeFileSync(`${folder}/opened.tar`, await rage.decrypt_with_x25519(text, readFileSync(tar)));
} else {
  const [identity, recipient] = await rage.keygen();
  const line = new TextEncoder().encode(identity + "\\n");
  writeFileSync(key, await rage.encrypt_with_user_passphrase(words, line, false));
  const plain = readFileSync(`${folder}/plain.tar`);
  writeFileSync(tar, await rage.encrypt_with_x25519(recipient, plain, false));
}
"""
NPM_LOCK_FOLDER = Path(__file__).parents[2] / "locks" / "npm"  # pins every package by its hash
PROGRAM_BY_NPM_PACKAGE = {"age-encryption": TYPAGE_PROGRAM, "@kanru/rage-wasm": RAGE_PROGRAM}


@dataclass(frozen=True)
class ExportedArchive:
    """A device that has marked copies of a picture, and the folder with the device's archive."""

    device: Device
    folder: Path


@pytest.fixture(scope="module")
def exported_archive(tmp_path_factory: pytest.TempPathFactory) -> ExportedArchive:
    device = set_up_offline_device(Network(), "ana")
    list(mark_picture_copies(SMALL_PICTURE, [RecipientId("mum"), RecipientId("dad")], None, device))
    folder = tmp_path_factory.mktemp("archives") / "ours"
    export_archive(folder, Secret(PASSPHRASE.encode()), device, ignore_progress)
    return ExportedArchive(device, folder)


@pytest.fixture(scope="module")
def npm_program_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install both packages; return the folder with the packages and a program for each."""
    require_programs("node")
    require_programs("npm")
    workspace = tmp_path_factory.mktemp("node")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(NPM_LOCK_FOLDER / name, workspace)
    installed = subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=workspace,
        capture_output=True,
        check=False,
    )
    assert b"EINTEGRITY" not in installed.stderr, installed.stderr
    if installed.returncode:
        pytest.skip(f"npm cannot get {', '.join(PROGRAM_BY_NPM_PACKAGE)}")
    for number, program in enumerate(PROGRAM_BY_NPM_PACKAGE.values()):
        (workspace / f"{number}.mjs").write_text(program)
    return workspace


@pytest.fixture(scope="module", params=PROGRAM_BY_NPM_PACKAGE)
def run_node_package(
    request: pytest.FixtureRequest, npm_program_folder: Path
) -> Callable[[str, Path], None]:
    """Return a function that runs an npm package to open or make the archive in a folder."""
    program = npm_program_folder / f"{list(PROGRAM_BY_NPM_PACKAGE).index(request.param)}.mjs"

    def run_program(action: str, folder: Path) -> None:
        command = ["node", str(program), action, PASSPHRASE, str(folder)]
        subprocess.run(command, cwd=npm_program_folder, check=True, capture_output=True)

    return run_program


def require_programs(*names: str) -> str:
    """Skip the test if one of these programs is missing; return the name of the first program."""
    for name in names:
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed")
    return names[0]


def run_on_terminal(command: list[str], prompt_count: int = 1) -> None:
    """Run a program that asks for a passphrase on a terminal ``prompt_count`` times."""
    require_programs("script")
    subprocess.run(
        ["script", "-qec", shlex.join(command), "/dev/null"],
        input=f"{PASSPHRASE}\n".encode() * prompt_count,
        capture_output=True,
        check=True,
    )


def check_content(tar: Path, device: Device) -> None:
    """Check that the tar starts with the index, and has the picture and all sent messages."""
    with tarfile.open(tar) as opened:
        names = opened.getnames()
        (file,) = [name for name in names if name.startswith("files/")]
        content = opened.extractfile(file)
        assert content is not None
        assert content.read() == SMALL_PICTURE
    messages = {f"ledger/{message.id.hex()}" for message in device.ledger.messages()}
    assert names[0] == "index.json"
    assert messages < set(names)


def repack(exported_archive: ExportedArchive, folder: Path, program: str) -> Path:
    """Open our archive with a program, and return the path of a tar with the same content."""
    _decrypt_with(program, exported_archive.folder, folder / "ours.tar")
    (folder / "things").mkdir()
    subprocess.run(["tar", "xf", "ours.tar", "-C", "things"], cwd=folder, check=True)
    with tarfile.open(folder / "ours.tar") as opened:
        names = opened.getnames()
    command = ["tar", "cf", "plain.tar", "-C", "things", *names]
    subprocess.run(command, cwd=folder, check=True)
    return folder / "plain.tar"


def _decrypt_with(program: str, archive: Path, tar: Path) -> None:
    key = str(archive / KEY_FILE_NAME)
    run_on_terminal([program, "-d", "-i", key, "-o", str(tar), str(archive / TAR_FILE_NAME)])


def check_import(folder: Path, exported_archive: ExportedArchive) -> None:
    """Check that a new device that imports the archive has the content of the exporting device."""
    device = set_up_offline_device(Network(), "ana")
    assert import_archive(folder, Secret(PASSPHRASE.encode()), device, ignore_progress).sent == 1
    assert list(device.ledger.messages()) == list(exported_archive.device.ledger.messages())
    assert stored_contents(device)[1] == stored_contents(exported_archive.device)[1]


def test_export_has_two_private_files_and_can_be_imported(
    exported_archive: ExportedArchive,
) -> None:
    assert sorted(file.name for file in exported_archive.folder.iterdir()) == [
        KEY_FILE_NAME,
        TAR_FILE_NAME,
    ]
    assert {file.stat().st_mode & 0o777 for file in exported_archive.folder.iterdir()} == {0o600}
    check_import(exported_archive.folder, exported_archive)


@pytest.mark.parametrize("program", ["age", "rage"])
def test_public_program_opens_our_archive_and_we_import_its_archive(
    program: str, exported_archive: ExportedArchive, tmp_path: Path
) -> None:
    require_programs(program, f"{program}-keygen", "tar")
    tar = repack(exported_archive, tmp_path, program)
    check_content(tmp_path / "ours.tar", exported_archive.device)
    subprocess.run(
        [f"{program}-keygen", "-o", "key"], cwd=tmp_path, check=True, capture_output=True
    )
    key_text = (tmp_path / "key").read_text()
    (tmp_path / "theirs").mkdir()
    run_on_terminal(
        [program, "-p", "-o", str(tmp_path / "theirs" / KEY_FILE_NAME), str(tmp_path / "key")],
        prompt_count=2,
    )
    recipient = key_text.split("public key: ")[1].split()[0]
    out = ["-o", str(tmp_path / "theirs" / TAR_FILE_NAME)]
    subprocess.run([program, "-r", recipient, *out, str(tar)], check=True)
    check_import(tmp_path / "theirs", exported_archive)


def test_npm_package_opens_our_archive_and_we_import_its_archive(
    run_node_package: Callable[[str, Path], None], exported_archive: ExportedArchive, tmp_path: Path
) -> None:
    shutil.copytree(exported_archive.folder, tmp_path / "ours")
    run_node_package("open", tmp_path / "ours")
    check_content(tmp_path / "ours" / "opened.tar", exported_archive.device)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "ours" / "opened.tar").rename(tmp_path / "theirs" / "plain.tar")
    run_node_package("make", tmp_path / "theirs")
    check_import(tmp_path / "theirs", exported_archive)
