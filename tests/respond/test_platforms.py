"""Tests of finding platforms by name or by the host of a URL, and of the table of platforms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.respond.fact_tables import BadTable, shipped_table
from entrenous.respond.platforms import (
    PLATFORMS_TABLE_FILE,
    NoSuchPlatform,
    find_platform,
    host_of,
    platform_by_id,
    read_platforms,
    shipped_platforms,
)

domain_labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
platform_hosts = st.sampled_from([host for record in shipped_platforms() for host in record.hosts])


@pytest.mark.parametrize(
    ("typed", "platform_id"),
    [
        ("Insta", "instagram"),
        ("X", "x"),
        ("twitter", "x"),
        ("Whats App", "whatsapp"),
        ("WHATS-APP", "whatsapp"),
        ("Google Bilder", "google_search"),
        ("google_drive", "google_drive"),
        ("Google Fotos", "google_drive"),
        ("ВКонтакте", "vk"),
        ("ｉｎｓｔａ", "instagram"),  # noqa: RUF001
        ("  Tik  Tok ", "tiktok"),
        ("WordPress.com", "wordpress_com"),
    ],
)
def test_platform_is_found_by_its_name_as_people_type_it(typed: str, platform_id: str) -> None:
    assert find_platform(typed) == platform_by_id(platform_id)


@pytest.mark.parametrize(
    ("url", "platform_id"),
    [
        ("https://www.instagram.com/p/abc/?igsh=1", "instagram"),
        ("instagram.com/p/abc", "instagram"),
        ("//instagram.com", "instagram"),
        ("HTTPS://me:pass@M.Facebook.COM.:8443/x#y", "facebook"),
        ("https://instagram。com/", "instagram"),
        ("https://instagram%2Ecom/", "instagram"),
        ("https://insta\tgram.com/", "instagram"),
        ("https://drive.google.com/file/d/1", "google_drive"),
        ("https://www.google.com/search?q=me", "google_search"),
        ("https://some-blog.blogspot.com/2026", "google_drive"),
        ("https://www.google.com.br/search?q=eu", "google_search"),
        ("https://scontent-arn2-2.cdninstagram.com/v/t51/1.jpg", "instagram"),
        ("https://t.me/channel/5", "telegram"),
        ("https://user:@x.com", "x"),
        ("www.google.com/imgres?imgurl=https://site.example/a.jpg", "google_search"),
        ("instagram.com:443/p/abc", "instagram"),
        ("https:/instagram.com/p/abc", "instagram"),
        ("https:///instagram.com/p/abc", "instagram"),
        ("https:instagram.com/p/abc", "instagram"),
        ("http:\\\\instagram.com", "instagram"),
        ("https://instagram.com\u00ad/", "instagram"),
    ],
)
def test_platform_is_found_by_the_host_in_a_url(url: str, platform_id: str) -> None:
    assert find_platform(url) == platform_by_id(platform_id)


@pytest.mark.parametrize(
    ("typed", "host"),
    [
        ("https://straße.example/a", "xn--strae-oqa.example"),
        ("https://STRASSE.example/a", "strasse.example"),
        ("https://βόλος.example", "xn--nxasmm1c.example"),
        ("https://ΒΌΛΟΣ.example", "xn--nxasmq6b.example"),
        ("https://نامه\u200cای.example", "xn--mgba3gch31f060k.example"),  # noqa: RUF001
        ("https://I❤.ws/", "xn--i-7iq.ws"),
        ("https://münchen.example", "xn--mnchen-3ya.example"),
        ("https://a\ufffd.example", ""),
        ("https://evil℀.example", ""),
    ],
)
def test_host_with_letters_beyond_ascii_is_the_one_that_a_browser_contacts(
    typed: str, host: str
) -> None:
    """The expected names are those of the WHATWG URL standard (UTS #46, not transitional)."""
    assert host_of(typed) == host


@pytest.mark.parametrize(
    "url",
    [
        "https://instagram.com.evil.example/p/1",
        "https://evil.example/instagram.com",
        "https://evil.example?instagram.com",
        "https://evil.example#@instagram.com",
        "https://evil.example\\@instagram.com",
        "https://instagram.com@evil.example/",
        "https://instagram.com:80@evil.example/",
        "https://evil.example%2f.instagram.com/",
        "https://evil.example%00.instagram.com/",
        "https://evil.example／.instagram.com/",  # noqa: RUF001
        "https://notinstagram.com/",
        "https://instagram-com.example/",
        "https://іnstagram.com/",  # noqa: RUF001
        "https://instagram..com/",
        "https://.instagram.com/",
        "ftp://instagram.com/",
        "instagram.com://evil.example/",
        "evil.example/a?b=https://instagram.com/",
        "https://[::1]/instagram.com",
        "http://[instagram.com",
        "com",
        "",
        " ",
        ".",
        "a" * 100_000,
        "https://" + "é" * 5000 + ".instagram.com",
    ],
)
def test_look_alike_or_invalid_address_is_not_taken_for_a_platform(url: str) -> None:
    assert find_platform(url) is None


@given(platform_hosts, st.lists(domain_labels, max_size=3))
def test_every_subdomain_belongs_to_a_platform(host: str, labels: list[str]) -> None:
    subdomain = ".".join([*labels, host])
    found = find_platform(f"https://{subdomain}/")
    assert found is not None
    assert any(subdomain == one or subdomain.endswith(f".{one}") for one in found.hosts)


@given(platform_hosts, domain_labels)
def test_longer_domain_never_belongs_to_the_platform_in_it(host: str, label: str) -> None:
    assert find_platform(f"https://{host}.{label}.example/") is None
    assert host.count(".") > 1 or find_platform(f"https://{label}-{host}/") is None


@given(st.text(max_size=300))
def test_any_text_gives_a_plain_or_empty_host(text: str) -> None:
    host = host_of(text)
    assert host.isascii()
    assert host == host.lower()
    assert not set(host) & set("/@:?#%\\ ")
    find_platform(text)


def test_at_least_forty_platforms_have_a_source_a_verifier_and_a_first_step() -> None:
    records = shipped_platforms()
    assert len(records) >= 40
    assert all(record.source and record.verified_by and record.first_step for record in records)


def test_error_for_an_unknown_id_says_how_to_list_platforms() -> None:
    with pytest.raises(NoSuchPlatform, match=r"entrenous\s+case\s+platform"):
        platform_by_id("no-such-platform")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'kind = "social"', b'kind = "nice"'),
        (b'hosts = ["threads.net"', b'hosts = ["instagram.com"'),
        (b'aliases = ["fb"]', b'aliases = ["Insta"]'),
        (b"on_behalf = true", b'on_behalf = "perhaps"'),
        (b"account_needed", b"account_wanted"),
        (b"schema = 1", b"schema = 2"),
    ],
)
def test_invalid_table_is_refused(old: bytes, new: bytes) -> None:
    data = shipped_table(PLATFORMS_TABLE_FILE)
    assert old in data
    with pytest.raises(BadTable):
        read_platforms(data.replace(old, new, 1))
