"""Check a pack of evidence: python3 -I verify.py [PACK] [--ca FILE]

Needs Python 3.11 or newer and the package cryptography (42 or newer); no network. PACK is the ZIP
file, or the folder that it was unpacked to; without it, this file's folder. --ca FILE has the roots
(PEM) that you trust for the stamps; without it, those in the pack are used: compare their SHA-256
with what each authority publishes. Exit status: 0 if everything holds. Format: docs/spec/pack.md
"""

import argparse
import hashlib
import io
import json
import sys
import zipfile
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA384, SHA512, HashAlgorithm
from cryptography.x509.oid import ExtendedKeyUsageOID

SUMS, PACK, CUSTODY, ZEROS = "SHA256SUMS", "pack.json", "custody.jsonl", "0" * 64
CLOCK_DIFFERENCE_MAX = timedelta(minutes=5)  # by which a stamp may be older than its manifest
# Object identifiers in DER, from RFC 5652, RFC 3161, RFC 5035, RFC 5754 and RFC 5758.
SIGNED_DATA, TST_INFO = "2a864886f70d010702", "2a864886f70d0109100104"
CONTENT_TYPE, DIGEST = "2a864886f70d010903", "2a864886f70d010904"
SIGNER_V1, SIGNER_V2 = "2a864886f70d010910020c", "2a864886f70d010910022f"
HASH_BY_OID: dict[str, type[SHA256 | SHA384 | SHA512]] = {  # the hash alone, with RSA, with ECDSA
    **dict.fromkeys(("608648016503040201", "2a864886f70d01010b", "2a8648ce3d040302"), SHA256),
    **dict.fromkeys(("608648016503040202", "2a864886f70d01010c", "2a8648ce3d040303"), SHA384),
    **dict.fromkeys(("608648016503040203", "2a864886f70d01010d", "2a8648ce3d040304"), SHA512),
}
STAMP_FILE_SUFFIXES = (".json", ".tsr", ".pem")  # the manifest, its stamp, and the certificates
STAMPED_KEYS = ("item", "level", "added_at", "salted_sha256")
NOT_FOR_TIME = "its signer may not make time stamps"
DerPart = tuple[int, bytes, bytes]  # the tag, the content, and the whole encoding
Certificates = list[x509.Certificate]
Files = dict[str, bytes]


class CheckFailed(Exception):
    """A check of the pack failed; the text says why."""


class CheckReport:
    """Whether each check passed, what the pack does not have, and what each valid stamp states."""

    def __init__(self) -> None:
        self.checks, self.absent = list[tuple[bool, str]](), list[str]()
        self.stamps: list[dict[str, Any]] = []

    @property
    def holds(self) -> bool:
        return all(good for good, _ in self.checks)

    def run(self, what: str, check: Callable[..., Any], *about: Any) -> Any:
        """Run one check. It failed if it raises anything; () says that the pack lacks this part."""
        try:
            found = check(*about)
        except Exception as why:  # noqa: BLE001 -- hostile bytes fail in ways that no list covers
            text = why if isinstance(why, CheckFailed) else f"cannot be read ({type(why).__name__})"
            self.checks.append((False, f"{what}: {text}"))
            return None
        self.absent.append(what) if found == () else self.checks.append((True, what))
        return found


def need(holds: object, why: str) -> None:
    if not holds:
        raise CheckFailed(why)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def read_pack(place: Path | bytes) -> Files:
    """Return the files of a ZIP file, or of a folder, by name."""
    if isinstance(place, Path) and place.is_dir():
        found = (one for one in place.rglob("*") if one.is_file())
        return {one.relative_to(place).as_posix(): one.read_bytes() for one in found}
    with zipfile.ZipFile(io.BytesIO(place) if isinstance(place, bytes) else place) as packed:
        entries = packed.infolist()
        stored = all(one.compress_type == zipfile.ZIP_STORED for one in entries)
        need(stored and len({one.filename for one in entries}) == len(entries), "is no pack's ZIP")
        return {one.filename: packed.read(one) for one in entries}


def check_pack(files: Files, ca: bytes | None = None) -> CheckReport:
    """Check everything in a pack; ``ca`` has the trusted roots (PEM), instead of those in it."""
    report = CheckReport()
    report.run("the list of files", check_file_hashes, files)
    report.run("the description of the pack", check_description, report, files, ca)
    return report


def check_description(report: CheckReport, files: Files, ca: bytes | None) -> None:
    pack = read_json(files[PACK])
    need(pack["schema"] == "entrenous/pack/1", "it is of another version")
    items = {item["item"]: item for item in pack["items"]}
    need(len(items) == len(pack["items"]), "an item is listed twice")
    links = report.run("the chain of custody", check_custody, pack, files) or []
    for number, item in items.items():
        report.run(f"item {number}", check_item, item, links, files)
    for row in pack["stamps"]:
        statement = report.run(f"stamp {row['stamp']}", check_stamp, row, items, links, files, ca)
        report.stamps += [statement] if statement else []


def check_file_hashes(files: Files) -> None:
    lines = "".join(f"{sha256(files[one])}  {one}\n" for one in sorted(files) if one != SUMS)
    need(files.get(SUMS) == lines.encode(), "files differ from it, are missing, or were added")


def read_json(data: bytes) -> Any:
    """Read canonical JSON, which has one form for each value (RFC 8785; no fractions here)."""
    value = json.loads(data)
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    need(text.encode() == data, "is not in canonical form")
    return value


def check_custody(pack: Any, files: Files) -> list[Any] | tuple[()]:
    """Check the chain's links and the Merkle tree over them. A pack for a platform has neither."""
    if pack["custody"] is None:
        need(pack["for"] == "platform" and CUSTODY not in files, "is missing")
        return ()
    lines = files[CUSTODY].split(b"\n")
    need(lines.pop() == b"" and lines, "its last line is cut off")
    links, previous, before = list[Any](), ZEROS, ZEROS
    for number, line in enumerate(lines):
        link = read_json(line)
        follows = (link["number"], link["previous"], link["before"]) == (number, previous, before)
        need(follows, f"entry {number} does not follow the one before")
        previous, before = sha256(line), link["after"]
        links.append({**link, "hash": previous})
    root = tree_root([hashlib.sha256(b"\0" + line).digest() for line in lines]).hex()
    ours = {"size": len(links), "head": previous, "root": root}
    need(pack["custody"] == ours, "the tree over it has another root than the pack says")
    return links


def tree_root(leaves: list[bytes]) -> bytes:
    """Return the root of the Merkle tree over leaf hashes (RFC 6962, section 2.1)."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + tree_root(leaves[:split]) + tree_root(leaves[split:])).digest()


def check_item(item: Any, links: list[Any], files: Files) -> tuple[()] | None:
    """Compare an item's bytes with its salted hash, and with all links of custody about it."""
    if item["file"] is None and not links:
        return ()  # a platform gets only the salted hash
    data, salt = files[item["file"]], files[item["salt"]]
    need(len(salt) == 32 and sha256(salt + data) == item["salted_sha256"], "its bytes changed")
    stored = {link["item_sha256"] for link in links if link["item"] == item["item"]}
    need(stored == {sha256(data)}, "the chain of custody tells of other bytes")
    return None


def check_stamp(row: Any, items: Any, links: list[Any], files: Files, ca: bytes | None) -> Any:
    """Check a stamp, and its manifest against the pack; return what the stamp states."""
    manifest, token, pem = (files[f"stamps/{row['stamp']}{end}"] for end in STAMP_FILE_SUFFIXES)
    stamped = read_json(manifest)
    head = stamped["custody_head"]
    need(not links or head in {link["hash"] for link in links}, "it is over another chain")
    ours = [{key: items[line["item"]][key] for key in STAMPED_KEYS} for line in stamped["items"]]
    need(stamped["items"] == ours, "an item is not as stamped")
    roots = x509.load_pem_x509_certificates(pem if ca is None else ca)
    at, proven = verify_token(token, manifest, roots)
    need(row["at"] == at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "it states another time")
    written = datetime.strptime(stamped["written_at"], "%Y-%m-%dT%H:%M:%S.%f%z")
    need(at >= written - CLOCK_DIFFERENCE_MAX, "it is older than what it stamps")
    return {**row, "items": [line["item"] for line in ours], "root_sha256": proven}


def der_parts(data: bytes) -> list[DerPart]:
    """Split DER, or BER with definite lengths, into its parts."""
    found, at = [], 0
    while at < len(data):
        size, start = data[at + 1], at + 2
        if size >= 0x80:
            start += size - 0x80
            size = int.from_bytes(data[at + 2 : start], "big")
        need(0 < start + size <= len(data), "it is cut off")
        found.append((data[at], data[start : start + size], data[at : start + size]))
        at = start + size
    return found


def first_content(data: bytes) -> bytes:
    return der_parts(data)[0][1]


def verify_token(token: bytes, stamped: bytes, trusted: Certificates) -> tuple[datetime, str]:
    """Verify an RFC 3161 answer over ``stamped``; return its time, and its root's SHA-256."""
    status, content = der_parts(first_content(token))
    need(first_content(status[1]) == b"\0", "it was not granted")
    kind, wrapped = der_parts(content[1])
    fields = der_parts(first_content(wrapped[1]))
    inner, signed = der_parts(fields[2][1])
    need((kind[1].hex(), inner[1].hex()) == (SIGNED_DATA, TST_INFO), "it is no time stamp")
    info, (signer,) = first_content(signed[1]), der_parts(fields[-1][1])
    sent = [one for tag, part, _ in fields if tag == 0xA0 for one in der_parts(part)]
    known = [*trusted, *(x509.load_der_x509_certificate(whole) for _, _, whole in sent)]
    leaf = check_signer(der_parts(signer[1]), info, known)
    fields_of_info = der_parts(first_content(info))
    algorithm, imprint = der_parts(fields_of_info[2][1])
    hashed = hashlib.new(HASH_BY_OID[first_content(algorithm[1]).hex()].name, stamped)
    need(hashed.digest() == imprint[1], "it is over other bytes")
    text, _, fraction = fields_of_info[4][1].decode().rstrip("Z").partition(".")
    at = datetime.strptime(f"{text}.{fraction or '0'}", "%Y%m%d%H%M%S.%f").replace(tzinfo=UTC)
    use = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    need(use.critical and list(use.value) == [ExtendedKeyUsageOID.TIME_STAMPING], NOT_FOR_TIME)
    roots = [one for one in roots_reached_from(leaf, known, at) if one in trusted]
    need(roots, "its signature does not lead to a root that is trusted here")
    return at, roots[0].fingerprint(SHA256()).hex()


def check_signer(signer: list[DerPart], info: bytes, known: Certificates) -> x509.Certificate:
    """Verify the signed attributes and the signature over them; return the signer's certificate."""
    _, named, algorithm, attributes, signature_algorithm, signature = signer[:6]
    pairs = (der_parts(one[1]) for one in der_parts(attributes[1]))
    stated = {name[1].hex(): first_content(values[1]) for name, values in pairs}
    hashed = first_content(algorithm[1]).hex()
    need(stated[CONTENT_TYPE].hex() == TST_INFO, "its signature is over something else")
    same = hashlib.new(HASH_BY_OID[hashed].name, info).digest() == stated[DIGEST]
    need(same, "its signature is over another time")
    issuer, serial = der_parts(named[1])
    number = int.from_bytes(serial[1], "big", signed=True)
    ours = [one for one in known if one.serial_number == number]
    ours = [one for one in ours if one.issuer.public_bytes() == issuer[2] and is_named(stated, one)]
    need(ours, "the certificate of its signer is missing")
    key, kind = ours[0].public_key(), first_content(signature_algorithm[1]).hex()
    scheme = HASH_BY_OID.get(kind, HASH_BY_OID[hashed])()  # "RSA" alone names no hash
    # The signature is over the attributes as a SET OF in DER: with its own tag, and sorted.
    header = b"\x31" + attributes[2][1 : len(attributes[2]) - len(attributes[1])]
    whole = header + b"".join(sorted(one[2] for one in der_parts(attributes[1])))
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(signature[1], whole, padding.PKCS1v15(), scheme)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature[1], whole, ec.ECDSA(scheme))
    else:
        raise CheckFailed("its signature is of an unknown kind")
    return ours[0]


def is_named(stated: dict[str, bytes], one: x509.Certificate) -> bool:
    """Return whether the signed attributes name this very certificate (RFC 5035, RFC 5816)."""
    name = der_parts(first_content(first_content(stated.get(SIGNER_V2) or stated[SIGNER_V1])))
    kind: HashAlgorithm = SHA256() if SIGNER_V2 in stated else SHA1()  # noqa: S303 -- by RFC 2634
    if SIGNER_V2 in stated and name[0][0] == 0x30:
        kind = HASH_BY_OID[first_content(name[0][1]).hex()]()
    return one.fingerprint(kind) == next(part for tag, part, _ in name if tag == 0x04)


def roots_reached_from(leaf: x509.Certificate, known: Certificates, at: datetime) -> Certificates:
    """Return the roots that a certificate leads to, if all certificates are valid at ``at``."""
    roots, chain = [], [leaf]
    for one in chain:  # the list grows; each certificate is visited once
        if one.not_valid_before_utc <= at <= one.not_valid_after_utc:
            roots += [one] if one.issuer == one.subject else []
            chain += [other for other in known if other not in chain and is_issued_by(one, other)]
    return roots


def is_issued_by(one: x509.Certificate, by: x509.Certificate) -> bool:
    with suppress(Exception):  # a different name or signature, or no such extension
        one.verify_directly_issued_by(by)
        return by.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    return False


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Check a pack of evidence.")
    parser.add_argument("pack", nargs="?", type=Path, default=Path(__file__).parent)
    parser.add_argument("--ca", type=Path, help="roots that you trust for the stamps, PEM")
    chosen = parser.parse_args(arguments)
    report = CheckReport()
    files = report.run("the pack", read_pack, chosen.pack)
    if files is not None:
        report = check_pack(files, chosen.ca.read_bytes() if chosen.ca else None)
    lines = [("ok   " if good else "NO   ") + what for good, what in report.checks]
    lines += [f"Not in this pack, so not checked: {what}" for what in report.absent]
    for one in report.stamps:
        lines.append(f"Stamp {one['stamp']}: items {one['items']} existed by {one['at']},")
        lines.append(f"  says {one['authority']}; SHA-256 of its root: {one['root_sha256']}")
    lines += [] if report.stamps else ["No stamp holds, so nothing here proves a time."]
    lines.append("Everything holds." if report.holds else "Something does not hold.")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if report.holds else 1


if __name__ == "__main__":
    sys.exit(main())
