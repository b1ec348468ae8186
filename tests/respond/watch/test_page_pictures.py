"""Tests of finding the URLs of pictures in ordinary and hostile pages."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenous.respond.watch.page_pictures import (
    PAGE_PICTURES_MAX,
    SEARCHED_PAGE_BYTES_MAX,
    picture_urls,
)

PAGE_URL = "https://site.example/posts/1"


def picture_paths(page: str) -> list[str]:
    return [
        url.removeprefix("https://site.example") for url in picture_urls(page.encode(), PAGE_URL)
    ]


@pytest.mark.parametrize(
    ("page", "paths"),
    [
        ('<img src="a.jpg">', ["/posts/a.jpg"]),
        ("<IMG SRC='/a.jpg' />", ["/a.jpg"]),
        ("<img alt=x src=/a.jpg>", ["/a.jpg"]),
        ('<img\nclass="x"\n src="/a.jpg?x=1&amp;y=2#top">', ["/a.jpg?x=1&y=2"]),
        ('<img src="//cdn.example/a.jpg">', ["https://cdn.example/a.jpg"]),
        ('<base href="/b/"><img src="a.jpg">', ["/b/a.jpg"]),
        ('<img data-src="/late.jpg" src="/p.gif">', ["/p.gif", "/late.jpg"]),
        ('<img srcset="/s.jpg 1x, /l.jpg 2x">', ["/l.jpg"]),
        ('<img srcset="/s.jpg 1x,\n\t/l.jpg 2x">', ["/l.jpg"]),
        ('<img srcset="/s.jpg 1x,/l.jpg 2x">', ["/l.jpg"]),
        ('<img srcset="/s.jpg 100w , /l.jpg 200w,">', ["/l.jpg"]),
        ('<img srcset="/s.jpg, /l.jpg">', ["/l.jpg"]),
        ('<img srcset="/s.jpg 1x, /w_2x,h_9/l.jpg 2x">', ["/w_2x,h_9/l.jpg"]),
        ('<img srcset=" , ">', []),
        ('<source srcset="/w.webp">', ["/w.webp"]),
        ('<video poster="/v.jpg"></video>', ["/v.jpg"]),
        ('<video src="/v.mp4" poster="/v.jpg"></video>', ["/v.jpg"]),
        ('<img alt="5 > 3" src="/a.jpg">', ["/a.jpg"]),
        ("<img alt='<3' src='/a.jpg'><img src='/b.jpg'>", ["/a.jpg", "/b.jpg"]),
        ("<img src='data:image/svg+xml,<svg/>' data-src='/a.jpg'>", ["/a.jpg"]),
        ('<img alt="<img src=/b.jpg>" src="/a.jpg">', ["/a.jpg"]),
        ('<img alt=5" src="/a.jpg"><p class="x"><img src="/b.jpg">', ["/a.jpg", "/b.jpg"]),
        ("<img alt=it's src=/a.jpg><p>It's</p><img src=/b.jpg>", ["/a.jpg", "/b.jpg"]),
        ('<img alt="open src=/a.jpg><img src=/b.jpg>', ["/a.jpg", "/b.jpg"]),
        ('<meta property="og:image" content="/o.jpg">', ["/o.jpg"]),
        ("<meta name='twitter:image' content='/t.jpg'>", ["/t.jpg"]),
        ('<link rel="image_src" href="/l.jpg">', ["/l.jpg"]),
        ('<img src="/a.jpg"><meta content="/o.jpg" property="og:image">', ["/o.jpg", "/a.jpg"]),
        ('<img src="/a.jpg"><img src="/a.jpg">', ["/a.jpg"]),
        ('<img src="data:image/png;base64,AAAA">', []),
        ('<img src="javascript:alert(1)"><img src="file:///etc/passwd">', []),
        ('<img src="http://[::1"><img src="http://x:99999999/"><img src="">', []),
        ("<imgsrc='/a.jpg'><image src='/b.jpg'>", []),
    ],
)
def test_picture_urls_of_a_page_are_found(page: str, paths: list[str]) -> None:
    assert picture_paths(page) == paths


def test_encoding_that_the_page_names_is_used_if_possible() -> None:
    page = '<meta charset="utf-16-le">' + "x"
    assert picture_urls(page.encode(), PAGE_URL) == ()
    named = '<meta charset="cp1252"><img src="/é.jpg">'.encode("cp1252")
    assert picture_urls(named, PAGE_URL) == ("https://site.example/é.jpg",)
    assert picture_urls(b'<meta charset="rot13"><img src="/a.jpg">', PAGE_URL)
    assert picture_urls(b'<meta charset="nonsense"><img src="/a.jpg">', PAGE_URL)


@pytest.mark.parametrize(
    "page",
    [
        "<img " * 400_000,
        "<img" + " a" * 1_000_000,
        ("<img " + "a" * 8000 + ">") * 250,
        ("<img " + "a " * 4000 + ">") * 250,
        ("<img " + 'a="' * 2700 + ">") * 250,
        ("<img " + "a='\"" * 2000 + ">") * 250,
        ("<img " + "a" + " " * 8000 + ">") * 250,
        "<base href=x>" * 150_000,
        "".join(f'<img src="/{n}.jpg">' for n in range(100_000)),
        '<img src="' + "/" * 2_000_000 + '">',
        '<img src="' + "<" * 2_000_000,
        '<img "' * 300_000,
        """<img "'" '"' """ * 130_000,
        """<img '<img " """ * 130_000,
        """<img '"'"'" """ * 150_000,
        "<img " + "''" * 1_000_000,
        "<img " + "''\"\"" * 500_000 + ">",
        '<img srcset="' + "," * 2_000_000 + '">',
        '<img srcset="' + "a," * 1_000_000 + '">',
        '<img srcset="' + "a ," * 600_000 + '">',
        '<img srcset="' + "a" + " " * 2_000_000 + '">',
        '<img src="' + "&#x41;" * 1300 + '">',
    ],
)
def test_hostile_page_takes_little_time(page: str) -> None:
    start = time.process_time()
    assert len(picture_urls(page.encode(), PAGE_URL)) <= PAGE_PICTURES_MAX
    assert time.process_time() - start < 3.0


def test_only_the_first_part_of_a_page_is_read() -> None:
    page = b" " * SEARCHED_PAGE_BYTES_MAX + b'<img src="/a.jpg">'
    assert picture_urls(page, PAGE_URL) == ()


@given(st.binary(max_size=500))
def test_any_bytes_give_only_http_urls(data: bytes) -> None:
    for url in picture_urls(b"<img src='" + data + b"'>" + data, PAGE_URL):
        assert url.startswith(("http://", "https://"))
