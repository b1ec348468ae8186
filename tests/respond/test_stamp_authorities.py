"""Tests of the known stamp authorities: their table, roots and order, and postponed stamps."""

import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from ssl import PEM_cert_to_DER_cert

import pytest

from entrenous.base.environment import Settings, read_settings
from entrenous.base.errors import InvalidTimestamp
from entrenous.crypto.rfc3161 import verify_timestamp
from entrenous.demo.stamp_authority import LocalStampAuthority, make_stamp_server
from entrenous.respond.client.stamp_authority import open_known_authorities, verify_stamp
from entrenous.respond.evidence import (
    NoAuthorityAnswered,
    StampPostponed,
    cases_to_stamp,
    pending_stamp_text,
    stamp_evidence_or_postpone,
    verify_case,
)
from entrenous.respond.fact_tables import BadTable
from entrenous.respond.open_case import add_statement
from entrenous.respond.stamp_authorities import (
    known_stamp_authorities,
    read_certificate_bundle,
    read_stamp_authorities,
    root_in_bundle,
)
from tests.respond.case_owner import CaseOwner, owner_at_current_time

PUBLIC_STAMPS_FOLDER = Path(__file__).parents[3] / "shared" / "judges" / "rfc3161"
UNREACHABLE_URL = "http://127.0.0.1:1/"  # nothing listens on port 1
SETTINGS = read_settings({})
needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl is not installed: apt install openssl"
)


def test_root_of_every_known_authority_is_in_the_certificate_bundle() -> None:
    known = known_stamp_authorities(SETTINGS)
    assert len(known) >= 3
    assert known[0].url.startswith("https://"), "encrypted addresses come first"
    for one in known:
        assert one.verified, one.id
        assert one.source.startswith("https://"), one.id
        root = root_in_bundle(one, read_certificate_bundle(SETTINGS))
        assert root is not None, one.id
        assert sha256(PEM_cert_to_DER_cert(root.decode())).hexdigest() == one.root_sha256


@pytest.mark.skipif(
    not PUBLIC_STAMPS_FOLDER.exists(), reason="../shared/judges/rfc3161 is not here"
)
def test_public_stamp_is_verified_with_the_root_in_the_table() -> None:
    known = {one.id: one for one in known_stamp_authorities(SETTINGS)}
    token = (PUBLIC_STAMPS_FOLDER / "identrust" / "issue-104.tsr").read_bytes()
    bundle = read_certificate_bundle(SETTINGS)
    root = root_in_bundle(known["identrust"], bundle)
    assert root is not None
    assert verify_timestamp(token, b"hello", root) == datetime(2025, 3, 11, 8, 52, 8, tzinfo=UTC)
    other = root_in_bundle(known["sectigo"], bundle)
    assert other is not None
    with pytest.raises(InvalidTimestamp):
        verify_timestamp(token, b"hello", other)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("schema = 1", "schema = 2", 1),
        lambda text: text.replace("limits =", "limit =", 1),
        lambda text: text.replace('root_sha256 = "e7', 'root_sha256 = "E7', 1),
        lambda text: text.replace("https://timestamp", "ftp://timestamp", 1),
        lambda _: "\x00",
    ],
)
def test_invalid_table_is_refused(change: object) -> None:
    shipped = Path("src/entrenous/respond/facts/stamp-authorities.toml").read_text()
    changed = change(shipped)  # type: ignore[operator]
    assert changed != shipped
    with pytest.raises(BadTable):
        read_stamp_authorities(changed.encode())


@needs_openssl
@pytest.mark.real
def test_stamp_with_certificates_in_the_order_of_the_chain_is_read(tmp_path: Path) -> None:
    """DigiCert and Sectigo send certificates in this order, which rfc3161-client alone refuses."""
    local = create_local_authority(tmp_path, "ca.pem")
    query = subprocess.run(
        ["openssl", "ts", "-query", "-data", "-", "-sha256", "-cert"],
        input=b"hello",
        capture_output=True,
        check=True,
    ).stdout
    token = local.answer(query)
    with pytest.raises(InvalidTimestamp, match="cannot be read"):
        verify_timestamp(token[:-1], b"hello", local.ca.read_bytes())
    at = verify_timestamp(token, b"hello", local.ca.read_bytes())
    assert abs((datetime.now(UTC) - at).total_seconds()) < 60
    with pytest.raises(InvalidTimestamp, match="other data"):
        verify_timestamp(token, b"hellO", local.ca.read_bytes())


def create_local_authority(folder: Path, certs: str = "") -> LocalStampAuthority:
    """Create an openssl authority that also sends the certificates in ``certs``."""
    local = LocalStampAuthority(folder / "tsa")
    local.prepare()
    if certs:
        settings = folder / "tsa" / "tsa.cnf"
        settings.write_text(settings.read_text() + f"certs = {certs}\n")
    return local


class RefusingHandler(BaseHTTPRequestHandler):
    """A handler that answers every request with status 503."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_error(503)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def authority_urls(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Yield the URLs of a real authority, of a server that refuses, and of a closed port."""
    servers = {
        "answering": make_stamp_server(create_local_authority(tmp_path), "127.0.0.1", 0),
        "refusing": ThreadingHTTPServer(("127.0.0.1", 0), RefusingHandler),
    }
    threads = [
        threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.01})
        for one in servers.values()
    ]
    for thread in threads:
        thread.start()
    yield {name: f"http://127.0.0.1:{one.server_address[1]}/" for name, one in servers.items()} | {
        "unreachable": UNREACHABLE_URL
    }
    for one in servers.values():
        one.shutdown()
        one.server_close()
    for thread in threads:
        thread.join()


def write_settings(tmp_path: Path, *urls: str, trusted: bool = True) -> Settings:
    """Write settings for authorities at these URLs; if ``trusted``, the bundle has their root."""
    ca = (tmp_path / "tsa" / "ca.pem").read_text()
    digest = sha256(PEM_cert_to_DER_cert(ca)).hexdigest()
    rows = [
        f'[authority.a{number}]\nname = "Authority {number}"\nurl = "{url}"\nroot = "ours"\n'
        f'root_sha256 = "{digest}"\nsource = "https://stamps.test"\nverified = true\n'
        'verified_by = "a test"\n'
        for number, url in enumerate(urls, start=1)
    ]
    (tmp_path / "table.toml").write_text("schema = 1\nread_on = 2026-11-30\n" + "".join(rows))
    bundle = read_certificate_bundle(SETTINGS).decode() + (ca if trusted else "")
    (tmp_path / "bundle.pem").write_text(bundle)
    return replace(
        SETTINGS, ca_bundle=tmp_path / "bundle.pem", stamp_authorities=tmp_path / "table.toml"
    )


@pytest.fixture
def owner() -> CaseOwner:
    return owner_at_current_time()


@needs_openssl
@pytest.mark.real
def test_next_authority_is_contacted_if_one_is_unreachable_or_refuses(
    owner: CaseOwner, tmp_path: Path, authority_urls: dict[str, str]
) -> None:
    order = [authority_urls[name] for name in ("unreachable", "refusing", "answering")]
    case = add_statement(owner.open_case().name, "seen on Monday", owner.device)
    with open_known_authorities(write_settings(tmp_path, *order)) as ask:
        stamped = stamp_evidence_or_postpone(case.name, ask, owner.device)
    (stamp,) = stamped.stamps
    assert stamp.authority_url == authority_urls["answering"]
    assert stamp.authorities.strip() == (tmp_path / "tsa" / "ca.pem").read_bytes().strip()
    assert verify_case(case.name, owner.device, verify_stamp) == stamped


@needs_openssl
@pytest.mark.real
def test_next_authority_is_contacted_if_a_stamp_is_older_than_the_manifest(
    owner: CaseOwner, tmp_path: Path, authority_urls: dict[str, str]
) -> None:
    owner.clock.advance(minutes=6)  # ahead of the authority's clock
    case = add_statement(owner.open_case().name, "seen on Monday", owner.device)
    url = authority_urls["answering"]
    with open_known_authorities(write_settings(tmp_path, url, url)) as ask:
        with pytest.raises(StampPostponed, match="one of the two clocks is wrong") as postponed:
            stamp_evidence_or_postpone(case.name, ask, owner.device)
        reasons = str(postponed.value.facts["why"]).split("; Authority 2: ")
        assert [reason.count("so one of the two clocks is wrong") for reason in reasons] == [1, 1]
        assert cases_to_stamp(owner.device) == (case.name,)
        owner.clock.advance(minutes=-6)
        stamped = stamp_evidence_or_postpone(case.name, ask, owner.device)
    assert (len(stamped.stamps), stamped.stamp_wanted_at) == (1, None)


@needs_openssl
@pytest.mark.real
def test_authority_without_a_root_in_the_bundle_is_not_contacted(
    tmp_path: Path, authority_urls: dict[str, str]
) -> None:
    with (
        open_known_authorities(
            write_settings(tmp_path, authority_urls["answering"], trusted=False)
        ) as ask,
        pytest.raises(NoAuthorityAnswered, match="its root is not in the certificate bundle"),
    ):
        ask(b"{}")


@needs_openssl
@pytest.mark.real
def test_postponed_stamp_stays_requested_until_it_is_made(
    owner: CaseOwner, tmp_path: Path, authority_urls: dict[str, str]
) -> None:
    case = add_statement(owner.open_case().name, "seen on Monday", owner.device)
    assert cases_to_stamp(owner.device) == ()
    with open_known_authorities(write_settings(tmp_path, authority_urls["unreachable"])) as ask:
        with pytest.raises(StampPostponed, match="entrenous evidence stamp"):
            stamp_evidence_or_postpone(case.name, ask, owner.device)
        first = verify_case(case.name, owner.device)
        owner.clock.advance(minutes=2)
        with pytest.raises(StampPostponed):
            stamp_evidence_or_postpone(case.name, ask, owner.device)
    assert cases_to_stamp(owner.device) == (case.name,)
    again = verify_case(case.name, owner.device)
    assert again == first, "asking again changes nothing"
    assert "To be stamped since" in pending_stamp_text(again)
    with open_known_authorities(write_settings(tmp_path, authority_urls["answering"])) as ask:
        stamped = stamp_evidence_or_postpone(case.name, ask, owner.device)
    assert (len(stamped.stamps), pending_stamp_text(stamped)) == (1, "")
    assert cases_to_stamp(owner.device) == ()
