"""Tests of evidence packs: contents, verifier, encryption, and the detection of changes."""

import hashlib
import json
import random
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pyrage
import pytest

from entrenous.base.secret import Secret
from entrenous.respond.age_gate import NotAllAdults
from entrenous.respond.case_file import find_case
from entrenous.respond.client.stamp_authority import HttpTimestampAuthority, verify_stamp
from entrenous.respond.custody import CustodyAct, verify_chain
from entrenous.respond.evidence import EvidenceChanged, stamp_certificates_pem, stamp_evidence
from entrenous.respond.letters.draft import draft_and_store_notice
from entrenous.respond.manifest_format import MANIFEST_SCHEMA
from entrenous.respond.open_case import (
    add_file,
    add_sighting,
    add_statement,
    record_somebody_under_18,
)
from entrenous.respond.packs import verify_pack
from entrenous.respond.packs.hand_over import (
    NotAPrivateKey,
    NotAPublicKey,
    PackDoesNotOpen,
    PackIsEncrypted,
    check_received_pack,
    encrypt_pack_for,
    read_recipient_key,
)
from entrenous.respond.packs.make_pack import (
    LettersNotChosen,
    NothingToPack,
    Pack,
    PackTooLarge,
    make_pack_for_court,
    make_pack_for_platform,
    verifier_source,
    zip_files,
)
from entrenous.respond.situation import Situation
from entrenous.wire.encodings import canonical_json, write_time
from tests.respond.case_owner import (
    PAGE_URL,
    CaseOwner,
    create_stamp_authority,
    make_sighting,
    owner_at_current_time,
    situation_in,
)
from tests.sizes import NIGHTLY

pytestmark = pytest.mark.real  # runs openssl, but sends nothing

SCREENSHOT = b"\x89PNG\r\n\x1a\n the screenshot, as it was"
CHAT_DESCRIPTION = "the chat of class 9b, with the name of Mia in it"
BIT_FLIP_COUNT = 10_000 if NIGHTLY else 700


@pytest.fixture(scope="module")
def owner(authority: HttpTimestampAuthority) -> CaseOwner:
    """Return the owner of a case with three items, two stamps, two sightings and a letter."""
    owner = owner_at_current_time()
    name = owner.open_case(situation_in("US")).name
    add_sighting(name, make_sighting(at=owner.clock.moment), owner.device)
    add_sighting(name, make_sighting(CHAT_DESCRIPTION, at=owner.clock.moment), owner.device)
    add_file(name, SCREENSHOT, "what the post looked like", owner.device)
    add_statement(name, "seen on Monday", owner.device)
    stamp_evidence(name, authority.stamp, owner.device)
    add_statement(name, "and on Tuesday", owner.device)
    stamp_evidence(name, authority.stamp, owner.device)
    draft_and_store_notice(name, "us-tida-removal", owner.device, (1,))
    return owner


def case_name_in(owner: CaseOwner) -> str:
    return next(key for key, _ in owner.vault.items("cases"))


def make_court_pack(owner: CaseOwner) -> Pack:
    name = case_name_in(owner)
    return make_pack_for_court(name, "age1court", owner.device, verify_stamp, lambda _: None)


@pytest.fixture(scope="module")
def pack(owner: CaseOwner) -> Pack:
    return make_court_pack(owner)


def test_court_pack_is_valid_and_lists_the_items_of_each_stamp(pack: Pack) -> None:
    checked = check_received_pack(pack.zipped())
    assert [what for good, what in checked.checks if not good] == []
    assert [stamp["items"] for stamp in checked.stamps] == [[1, 2], [1, 2, 3]]
    assert checked.holds
    assert checked.fingerprint == pack.fingerprint.hex()
    assert pack.files["items/1.png"] == SCREENSHOT


def test_the_verifier_is_one_file_of_at_most_300_lines(pack: Pack) -> None:
    assert (
        pack.files["verify.py"] == Path(str(verify_pack.__file__)).read_bytes() == verifier_source()
    )
    assert len(pack.files["verify.py"].splitlines()) <= 300
    assert b"entrenous." not in pack.files["verify.py"]


def test_verifier_needs_only_python_and_cryptography(pack: Pack, tmp_path: Path) -> None:
    folder, only = write_pack(pack, tmp_path / "pack"), tmp_path / "only"
    only.mkdir()
    for name in ("cryptography", "cffi", "_cffi_backend"):
        found = find_spec(name)
        assert found is not None
        path = Path(str(found.origin))
        path = path.parent if path.name == "__init__.py" else path
        (only / path.name).symlink_to(path)
    program = (
        f"import sys; sys.path.append({str(only)!r}); import runpy; "
        f"sys.argv = ['verify.py']; runpy.run_path({str(folder / 'verify.py')!r}, "
        "run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, check=False, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Everything holds." in done.stdout
    (folder / "items" / "1.png").write_bytes(SCREENSHOT + b" ")
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, check=False, text=True
    )
    assert done.returncode == 1
    assert "NO   item 1: its bytes changed" in done.stdout


def write_pack(pack: Pack, folder: Path) -> Path:
    for name, data in pack.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def test_openssl_and_sha256sum_agree_with_the_verifier(pack: Pack, tmp_path: Path) -> None:
    folder = write_pack(pack, tmp_path / "pack")
    for number in (1, 2):
        stamp = f"stamps/{number}"
        ts = ("-in", f"{stamp}.tsr", "-data", f"{stamp}.json", "-CAfile", f"{stamp}.pem")
        output = run_command(folder, "openssl", "ts", "-verify", *ts)
        assert "Verification: OK" in output
        (folder / f"{stamp}.json").write_bytes(pack.files[f"{stamp}.json"] + b" ")
        assert "Verification: OK" not in run_command(folder, "openssl", "ts", "-verify", *ts)
        (folder / f"{stamp}.json").write_bytes(pack.files[f"{stamp}.json"])
    assert "FAILED" not in run_command(folder, "sha256sum", "--strict", "-c", "SHA256SUMS")


def run_command(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False, text=True)
    return done.stdout + done.stderr


@pytest.mark.threat("evidence-changed")
def test_random_single_bit_changes_are_found(pack: Pack) -> None:
    """The 700 flipped bits (10,000 in the nightly run) are spread over all files of the pack."""
    rng = random.Random(26)
    names = sorted(pack.files)
    for turn in range(BIT_FLIP_COUNT):
        name = names[turn % len(names)]
        changed = {**pack.files, name: flip_random_bit(pack.files[name], rng)}
        assert not verify_pack.check_pack(changed).holds, name


def flip_random_bit(data: bytes, rng: random.Random) -> bytes:
    at, bit = rng.randrange(len(data)), 1 << rng.randrange(8)
    return data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :]


def rehash_files(files: dict[str, bytes]) -> dict[str, bytes]:
    """Recompute the hashes in SHA256SUMS, as a forger would."""
    names = sorted(name for name in files if name != "SHA256SUMS")
    lines = (f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in names)
    return {**files, "SHA256SUMS": "".join(lines).encode()}


STAMPED_FILES = ("items/1.png", "items/1.salt", "stamps/1.json", "stamps/2.json", "custody.jsonl")


@pytest.mark.threat("evidence-changed")
@pytest.mark.parametrize("file_name", STAMPED_FILES)
def test_change_is_found_although_the_hash_list_was_recomputed(pack: Pack, file_name: str) -> None:
    rng = random.Random(6962)
    for _ in range(BIT_FLIP_COUNT // 10):
        changed_file = {file_name: flip_random_bit(pack.files[file_name], rng)}
        checked = verify_pack.check_pack(rehash_files({**pack.files, **changed_file}))
        assert checked.checks[0] == (True, "the list of files")
        assert not checked.holds, file_name


@pytest.mark.threat("evidence-changed")
def test_changed_token_never_states_another_time(pack: Pack) -> None:
    """Some parts of a token are not signed; only the list of files protects them."""
    rng, times = (
        random.Random(3161),
        {stamp["at"] for stamp in check_received_pack(pack.zipped()).stamps},
    )
    for _ in range(BIT_FLIP_COUNT // 2):
        changed = {**pack.files, "stamps/2.tsr": flip_random_bit(pack.files["stamps/2.tsr"], rng)}
        assert not verify_pack.check_pack(changed).holds
        forged_times = {
            stamp["at"] for stamp in verify_pack.check_pack(rehash_files(changed)).stamps
        }
        assert forged_times <= times


def edit_file(
    file_name: str, edit: Callable[[bytes], bytes]
) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    return lambda files: {**files, file_name: edit(files[file_name])}


def edit_items(
    edit: Callable[[list[dict[str, object]]], object],
) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    def edit_description(text: bytes) -> bytes:
        described = json.loads(text)
        edit(described["items"])
        return canonical_json(described)

    return edit_file("pack.json", edit_description)


def add_invented_file_for_item_1(files: dict[str, bytes]) -> dict[str, bytes]:
    invented = {"file": "items/1b.png", "level": "A4", "what": "the platform's own answer"}
    edit = edit_items(lambda items: items.insert(0, items[0] | invented))
    return edit({**files, "items/1b.png": b"invented"})


def leave_item_1_out(files: dict[str, bytes]) -> dict[str, bytes]:
    kept = {name: data for name, data in files.items() if not name.startswith("items/1.")}
    return edit_items(lambda items: items[0].update(file=None))(kept)


def remove_line(text: bytes, line: int) -> bytes:
    lines = text.splitlines(keepends=True)
    return b"".join(lines[:line] + lines[line + 1 :])


@pytest.mark.threat("evidence-changed")
@pytest.mark.parametrize(
    "forge",
    [
        lambda files: {name: data for name, data in files.items() if name != "items/2.salt"},
        lambda files: {name: data for name, data in files.items() if name != "custody.jsonl"},
        lambda files: {name: data for name, data in files.items() if name != "pack.json"},
        lambda files: {**files, "stamps/1.tsr": files["stamps/2.tsr"]},
        lambda files: {**files, "stamps/1.pem": b""},
        edit_file("custody.jsonl", lambda text: remove_line(text, 0)),
        edit_file("custody.jsonl", lambda text: remove_line(text, 3)),
        edit_file("custody.jsonl", lambda text: remove_line(text, len(text.splitlines()) - 1)),
        edit_file("custody.jsonl", lambda text: text + text.splitlines(keepends=True)[-1]),
        edit_file("pack.json", lambda text: text.replace(b'"level":"A1"', b'"level":"A4"')),
        edit_file("pack.json", lambda text: b" " + text),
        edit_file("pack.json", lambda _: json.dumps({"schema": "entrenous/pack/1"}).encode()),
        edit_file("pack.json", lambda _: b"[" * 100_000),
        add_invented_file_for_item_1,
        leave_item_1_out,
    ],
)
def test_forged_pack_fails_verification(
    pack: Pack, forge: Callable[[dict[str, bytes]], dict[str, bytes]]
) -> None:
    changed = forge(dict(pack.files))
    assert changed != pack.files
    assert not verify_pack.check_pack(changed).holds
    assert not verify_pack.check_pack(rehash_files(changed)).holds


@pytest.mark.parametrize("line", [{"item": 1}, {"item": 1, "level": "A1"}])
def test_stamp_over_a_manifest_without_the_hash_of_an_item_does_not_prove_a_time(
    line: dict[str, object], authority: HttpTimestampAuthority
) -> None:
    """The manifest is stamped before the item exists."""
    owner = owner_at_current_time()
    name = owner.open_case(situation_in("US")).name
    links = verify_chain(name, owner.device)
    manifest = canonical_json(
        {
            "schema": MANIFEST_SCHEMA,
            "written_at": write_time(owner.clock.now()),
            "custody_head": links[-1].hash.hex(),
            "items": [line],
        }
    )
    early = authority.stamp(manifest)
    owner.clock.advance(days=400)
    add_file(name, SCREENSHOT, "invented a year later", owner.device)
    files = dict(make_court_pack(owner).files)
    described = json.loads(files["pack.json"])
    at = write_time(early.at)
    described["stamps"] = [{"stamp": 1, "at": at, "authority": early.authority_url}]
    files |= {
        "pack.json": canonical_json(described),
        "stamps/1.json": manifest,
        "stamps/1.tsr": early.token,
        "stamps/1.pem": stamp_certificates_pem(early),
    }
    checked = check_received_pack(zip_files(rehash_files(files)))
    assert (False, "stamp 1: an item is not as stamped") in checked.checks
    assert checked.stamps == ()


def test_an_added_file_is_found(pack: Pack) -> None:
    assert not verify_pack.check_pack({**pack.files, "items/9.png": SCREENSHOT}).holds


def test_rewritten_case_fails_against_the_root_of_the_genuine_authority(
    pack: Pack, tmp_path: Path
) -> None:
    own = create_stamp_authority(tmp_path / "own")
    owner = owner_at_current_time()
    name = add_statement(owner.open_case().name, "an invented one", owner.device).name
    stamp_evidence(name, own.stamp, owner.device)
    invented = make_court_pack(owner)
    assert check_received_pack(invented.zipped()).holds, "it holds against its own authority"
    genuine = pack.files["stamps/1.pem"]
    assert check_received_pack(pack.zipped(), ca=genuine).holds
    assert not check_received_pack(invented.zipped(), ca=genuine).holds


def test_a_pack_is_recorded_with_its_fingerprint(owner: CaseOwner) -> None:
    before = len(verify_chain(find_case(case_name_in(owner), owner.device).name, owner.device))
    made = make_court_pack(owner)
    links = verify_chain(find_case(case_name_in(owner), owner.device).name, owner.device)
    assert len(links) == before + 1
    assert links[-1].act is CustodyAct.PACKED
    assert made.fingerprint.hex() in links[-1].purpose
    assert "age1court" in links[-1].purpose


def test_a_pack_that_could_not_be_written_is_not_recorded(owner: CaseOwner) -> None:
    name = case_name_in(owner)
    before = find_case(name, owner.device)

    def fail_to_write(_: Pack) -> None:
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        make_pack_for_court(name, "age1court", owner.device, verify_stamp, fail_to_write)
    assert find_case(name, owner.device) == before


def test_a_pack_for_a_platform_has_letters_and_salted_hashes_and_no_picture(
    owner: CaseOwner,
) -> None:
    made = make_pack_for_platform(case_name_in(owner), (), (), owner.device, lambda _: None)
    everything = b"\n".join(made.files.values())
    assert not [name for name in made.files if name.startswith("items/")]
    for secret in (
        SCREENSHOT,
        CHAT_DESCRIPTION.encode(),
        b"what the post looked like",
        b"seen on Monday",
        f"{len(SCREENSHOT)} bytes".encode(),
    ):
        assert secret not in everything
    assert hashlib.sha256(SCREENSHOT).hexdigest().encode() not in everything
    for item in find_case(case_name_in(owner), owner.device).evidence:
        assert item.salt.reveal() not in everything
    assert PAGE_URL.encode() in made.files["letters/1.txt"]
    assert [one["where"] for one in json.loads(made.files["pack.json"])["sightings"]] == [PAGE_URL]
    checked = check_received_pack(made.zipped())
    assert checked.holds
    assert checked.absent == ("the chain of custody", "item 1", "item 2", "item 3")
    assert not any("item" in what or "custody" in what for _, what in checked.checks)
    chosen = make_pack_for_platform(case_name_in(owner), (1,), (2,), owner.device, lambda _: None)
    assert [one["where"] for one in json.loads(chosen.files["pack.json"])["sightings"]] == [
        CHAT_DESCRIPTION
    ]


def test_only_letter_is_packed_for_a_platform_unasked_only_if_it_is_to_a_platform() -> None:
    owner = owner_at_current_time()
    name = owner.open_case(situation_in("US", "US-CA")).name
    add_sighting(name, make_sighting(at=owner.clock.moment), owner.device)
    draft_and_store_notice(name, "us-tida-crime", owner.device)
    with pytest.raises(LettersNotChosen, match="contains only letters to that platform"):
        make_pack_for_platform(name, (), (), owner.device, lambda _: None)
    chosen = make_pack_for_platform(name, (1,), (), owner.device, lambda _: None)
    assert "letters/1.txt" in chosen.files


def test_cover_says_what_the_pack_proves_and_reveals_nothing_private(
    pack: Pack, tmp_path: Path
) -> None:
    (tmp_path / "cover.pdf").write_bytes(pack.files["cover.pdf"])
    text = " ".join(run_command(tmp_path, "pdftotext", "-layout", "cover.pdf", "-").split())
    root = json.loads(pack.files["pack.json"])["custody"]["root"]
    for words in ("What it proves", "What it does not prove", "Item 3: A0", "Stamp 2:", root):
        assert words in text
    for private in ("what the post looked like", PAGE_URL, "Mia"):
        assert private not in text
        assert private not in pack.files["README.txt"].decode()


def test_only_the_recipient_opens_a_pack_for_a_court(pack: Pack, tmp_path: Path) -> None:
    court_key, other = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
    sealed = encrypt_pack_for(str(court_key.to_public()), pack.zipped())
    assert SCREENSHOT not in sealed
    key = Secret(f"# created by age-keygen\n{court_key}\n".encode())
    assert check_received_pack(sealed, key).holds
    with pytest.raises(PackIsEncrypted):
        check_received_pack(sealed)
    with pytest.raises(PackDoesNotOpen):
        check_received_pack(sealed, Secret(str(other).encode()))
    with pytest.raises(PackDoesNotOpen):
        check_received_pack(sealed[:-1], key)
    with pytest.raises(NotAPrivateKey):
        check_received_pack(sealed, Secret(b"AGE-SECRET-KEY-1NO"))
    (tmp_path / "key").write_text(str(court_key))
    (tmp_path / "sealed").write_bytes(sealed)
    run_command(tmp_path, "age", "--decrypt", "-i", "key", "-o", "opened", "sealed")
    assert (tmp_path / "opened").read_bytes() == pack.zipped(), "the age program agrees"


def test_recipient_key_is_read_from_text_or_a_file_and_invalid_keys_are_refused(
    tmp_path: Path,
) -> None:
    key = str(pyrage.x25519.Identity.generate().to_public())
    (tmp_path / "court.pub").write_text(f"# the court's key\n{key}\n")
    assert read_recipient_key(key) == read_recipient_key(str(tmp_path / "court.pub")) == key
    assert read_recipient_key(f"# the court's key\n{key}") == key
    run_command(tmp_path, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "ssh")
    if (tmp_path / "ssh").exists():
        line = read_recipient_key(str(tmp_path / "ssh.pub"))
        sealed = encrypt_pack_for(line, b"PK")
        checked = check_received_pack(sealed, Secret((tmp_path / "ssh").read_bytes()))
        assert not checked.holds
    long = f"Key: ssh-ed25519 {'A' * 400}"
    missing = str(tmp_path / "none")
    for wrong in ("age1nonsense", "ssh-ed25519 AAAA", "me@example.org", missing, long, "x\0y"):
        with pytest.raises(NotAPublicKey):
            read_recipient_key(wrong)


def test_large_evidence_is_refused_only_in_a_pack_that_contains_it(
    owner: CaseOwner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrenous.respond.packs.make_pack.PACK_BYTES_MAX", 1)
    with pytest.raises(PackTooLarge, match="Export the largest items"):
        make_court_pack(owner)
    assert make_pack_for_platform(case_name_in(owner), (), (), owner.device, lambda _: None).files


def test_no_pack_without_content_or_a_choice_of_letters_after_a_change_or_under_18() -> None:
    owner = owner_at_current_time()
    name = owner.open_case(situation_in("US")).name
    with pytest.raises(NothingToPack):
        make_court_pack(owner)
    with pytest.raises(NothingToPack):
        make_pack_for_platform(name, (), (), owner.device, lambda _: None)
    add_sighting(name, make_sighting(at=owner.clock.moment), owner.device)
    case = add_file(name, SCREENSHOT, "a shot", owner.device)
    for _ in range(2):
        draft_and_store_notice(name, "us-tida-removal", owner.device, (1,))
    with pytest.raises(LettersNotChosen):
        make_pack_for_platform(name, (), (), owner.device, lambda _: None)
    owner.vault._files[case.evidence[0].blob] = SCREENSHOT + b" "
    with pytest.raises(EvidenceChanged):
        make_court_pack(owner)
    with pytest.raises(NotAllAdults):
        record_somebody_under_18(name, Situation(()), owner.device)
    with pytest.raises(NotAllAdults):
        make_court_pack(owner)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\x00" * 64])
def test_invalid_bytes_are_no_pack(data: bytes) -> None:
    assert not check_received_pack(data).holds


def test_an_empty_folder_is_no_pack(tmp_path: Path) -> None:
    assert not check_received_pack(tmp_path).holds
