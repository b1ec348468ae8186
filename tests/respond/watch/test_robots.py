"""Tests of robots.txt: rules and groups as in RFC 9309, and hostile files."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.respond.watch.robots import read_robots

SITE_URL = "https://site.example"


def is_allowed(text: str, path: str) -> bool:
    return read_robots(text.encode()).allows(SITE_URL + path)


def robots_txt(*lines: str) -> str:
    return "\n".join(("User-agent: *", *lines))


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/example/page/", True),
        ("/example/page/disallowed.gif", False),
        ("/elsewhere", True),
    ],
)
def test_longest_matching_rule_decides(path: str, *, allowed: bool) -> None:  # RFC 9309 section 5.2
    lines = ("Allow: /example/page/", "Disallow: /example/page/disallowed.gif")
    assert is_allowed(robots_txt(*lines), path) is allowed
    assert is_allowed(robots_txt(*lines[::-1]), path) is allowed


def test_allow_wins_over_an_equally_long_disallow() -> None:
    assert is_allowed(robots_txt("Disallow: /page", "Allow: /page"), "/page")


SEVERAL_GROUPS = """\
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


def test_empty_group_with_our_name_allows_everything() -> None:  # RFC 9309 section 5.1, "quxbot"
    assert is_allowed(SEVERAL_GROUPS, "/example/page.html")
    assert is_allowed(SEVERAL_GROUPS, "/a.gif")


@pytest.mark.parametrize("path", ["/a.gif", "/example/page.html"])
def test_without_a_group_with_our_name_the_group_for_all_decides(path: str) -> None:
    text = SEVERAL_GROUPS.replace("User-Agent: entrenous\n", "")
    assert not is_allowed(text, path)
    assert is_allowed(text, "/publications/a")


def test_groups_with_our_name_in_any_case_are_merged() -> None:
    text = (
        "User-agent: Entrenous/1.0 # ours\nDisallow: /a\n\n"
        "User-agent: other\nDisallow: /\n\n"
        "USER-AGENT: ENTRENOUS\ndisallow: /b\n"
    )
    assert [is_allowed(text, path) for path in ("/a", "/b", "/c")] == [False, False, True]


def test_longer_name_that_begins_with_ours_is_ignored() -> None:
    assert is_allowed("User-agent: entrenousbot\nDisallow: /", "/a")


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
def test_path_is_disallowed_if_the_pattern_matches(
    pattern: str, path: str, *, allowed: bool
) -> None:
    assert is_allowed(robots_txt(f"Disallow: {pattern}"), path) is allowed


def test_robots_txt_itself_is_always_allowed() -> None:
    assert is_allowed(robots_txt("Disallow: /"), "/robots.txt")


@pytest.mark.parametrize("line_ending", ["\n", "\r\n", "\r"])
def test_all_line_endings_are_accepted(line_ending: str) -> None:
    assert not is_allowed(robots_txt("Disallow: /a").replace("\n", line_ending), "/a")


def test_byte_order_mark_and_unknown_lines_are_ignored() -> None:
    text = "\ufeffUser-agent: *\nSitemap: https://x/\nCrawl-delay: 5\nnonsense\nDisallow: /a"
    assert not is_allowed(text, "/a")


@pytest.mark.parametrize(
    "text",
    [
        robots_txt("Disallow: /" + "*a" * 100_000),
        robots_txt(*["Disallow: /" + "a*" * 50] * 4000),
        "User-agent: *\n" * 40_000,
        "x" * 600_000,
        robots_txt("Disallow: /" + "%41" * 150_000),
    ],
)
def test_hostile_file_takes_little_time(text: str) -> None:
    start = time.process_time()
    read_robots(text.encode()).allows(SITE_URL + "/" + "a" * 4000)
    assert time.process_time() - start < 2.0


@given(st.binary(max_size=300), st.text(max_size=40))
def test_any_bytes_give_an_answer(data: bytes, path: str) -> None:
    rules = read_robots(b"User-agent: *\n" + data)
    assert isinstance(rules.allows(f"{SITE_URL}/{path}"), bool)
