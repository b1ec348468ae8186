"""Tests of robots.txt: the examples of RFC 9309, and hostile files."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.respond.watch.robots import read_robots

SITE = "https://site.example"


def allows(text: str, path: str) -> bool:
    return read_robots(text.encode()).allows(SITE + path)


def rules(*lines: str) -> str:
    return "\n".join(("User-agent: *", *lines))


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/example/page/", True),
        ("/example/page/disallowed.gif", False),
        ("/elsewhere", True),
    ],
)
def test_longest_match_decides(path: str, *, allowed: bool) -> None:  # RFC 9309 section 5.2
    lines = ("Allow: /example/page/", "Disallow: /example/page/disallowed.gif")
    assert allows(rules(*lines), path) is allowed
    assert allows(rules(*lines[::-1]), path) is allowed


def test_of_two_equally_long_matches_the_one_that_allows_decides() -> None:
    assert allows(rules("Disallow: /page", "Allow: /page"), "/page")


SIMPLE = """\
User-Agent: *
Disallow: *.gif$
Disallow: /example/
Allow: /publications/

User-Agent: foobot
Disallow:/
Allow:/example/page.html
Allow:/example/allowed.gif

User-Agent: barbot
User-Agent: bazbot
Disallow: /example/page.html

User-Agent: entrenous
"""


def test_empty_group_of_our_own_allows_everything() -> None:  # RFC 9309 section 5.1, "quxbot"
    assert allows(SIMPLE, "/example/page.html")
    assert allows(SIMPLE, "/a.gif")


@pytest.mark.parametrize("path", ["/a.gif", "/example/page.html"])
def test_other_programs_rules_are_not_ours(path: str) -> None:
    text = SIMPLE.replace("User-Agent: entrenous\n", "")
    assert not allows(text, path)
    assert allows(text, "/publications/a")


def test_groups_with_our_name_are_one_and_its_case_does_not_matter() -> None:
    text = (
        "User-agent: Entrenous/1.0 # ours\nDisallow: /a\n\n"
        "User-agent: other\nDisallow: /\n\n"
        "USER-AGENT: ENTRENOUS\ndisallow: /b\n"
    )
    assert [allows(text, path) for path in ("/a", "/b", "/c")] == [False, False, True]


def test_name_that_only_begins_like_ours_is_another() -> None:
    assert allows("User-agent: entrenousbot\nDisallow: /", "/a")


@pytest.mark.parametrize(
    ("pattern", "path", "allowed"),
    [
        ("/fish", "/fish.html", False),
        ("/fish", "/Fish", True),
        ("/fish*", "/fishheads", False),
        ("/*.php", "/folder/a.php?x=1", False),
        ("/*.php$", "/folder/a.php", False),
        ("/*.php$", "/folder/a.php?x=1", True),
        ("/fish*.php", "/fishheads/catfish.php?id=1", False),
        ("/fish*.php", "/Fish.PHP", True),
        ("/a$", "/a", False),
        ("/a$", "/ab", True),
        ("/a*b*c", "/a-c-b", True),
        ("/a*b*c", "/a-b-b-c", False),
        ("/*ab$", "/abab", False),
        ("/ab*ab$", "/ab", True),
        ("/$", "/", False),
        ("/$", "/a", True),
        ("/foo/bar?baz=quz", "/foo/bar?baz=quz", False),
        ("/foo/bar?baz=https://foo.bar", "/foo/bar?baz=https%3A%2F%2Ffoo.bar", True),
        ("/foo/bar/ツ", "/foo/bar/%E3%83%84", False),
        ("/foo/bar/%E3%83%84", "/foo/bar/%e3%83%84", False),
        ("/foo/bar/%62%61%7A", "/foo/bar/baz", False),
        ("/a%2fb", "/a/b", True),
        ("/a # a comment", "/a", False),
        ("", "/a", True),
    ],
)
def test_pattern(pattern: str, path: str, *, allowed: bool) -> None:
    assert allows(rules(f"Disallow: {pattern}"), path) is allowed


def test_robots_txt_itself_is_always_allowed() -> None:
    assert allows(rules("Disallow: /"), "/robots.txt")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends(end: str) -> None:
    assert not allows(rules("Disallow: /a").replace("\n", end), "/a")


def test_byte_order_mark_and_unknown_lines_are_passed_over() -> None:
    text = "\ufeffUser-agent: *\nSitemap: https://x/\nCrawl-delay: 5\nnonsense\nDisallow: /a"
    assert not allows(text, "/a")


@pytest.mark.parametrize(
    "text",
    [
        rules("Disallow: /" + "*a" * 100_000),
        rules(*["Disallow: /" + "a*" * 50] * 4000),
        "User-agent: *\n" * 40_000,
        "x" * 600_000,
        rules("Disallow: /" + "%41" * 150_000),
    ],
)
def test_hostile_file_takes_little_time(text: str) -> None:
    start = time.process_time()
    read_robots(text.encode()).allows(SITE + "/" + "a" * 4000)
    assert time.process_time() - start < 2.0


@given(st.binary(max_size=300), st.text(max_size=40))
def test_any_bytes_are_read(data: bytes, path: str) -> None:
    assert read_robots(b"User-agent: *\n" + data).allows(f"{SITE}/{path}") in {True, False}
