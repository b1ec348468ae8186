"""Tests of watching pages on loopback: states, requests, agreement, and reappearing pictures."""

from datetime import timedelta

import pytest

from entrenous.base.picture import DecoderDidNotStart, Picture
from entrenous.respond.age_gate import NotAllAdults
from entrenous.respond.case_file import find_case
from entrenous.respond.case_status import NoticeEvent, close_case, record_notice_event, reopen_case
from entrenous.respond.custody import custody_chain, verify_chain
from entrenous.respond.letters.draft import draft_and_store_notice
from entrenous.respond.next_step import next_step
from entrenous.respond.open_case import record_somebody_under_18
from entrenous.respond.watch.polite_web import HOST_PAUSE_S
from entrenous.respond.watch.records import WatchingNotAgreed, load_watched, watched_in_case
from entrenous.respond.watch.states import CHECK_INTERVAL, RARE_CHECK_INTERVAL
from tests.respond.case_owner import situation_in
from tests.respond.watch.site import PageWatcher, photo, picture_reply, redirect_reply, reply

pytestmark = pytest.mark.real

POST_HTML = '<html><meta property="og:image" content="/p.jpg"><img src="/other.png"></html>'


def serve_post(watcher: PageWatcher, page: str = POST_HTML, **headers: str) -> None:
    watcher.site.pages |= {"/post": reply(page, **headers), "/p.jpg": picture_reply()}


def test_picture_on_a_page_is_found_although_it_was_saved_again(watcher: PageWatcher) -> None:
    serve_post(watcher)
    assert watcher.watch_pages("/post").check_state() == ("still there", "picture")
    # The picture is found at /p.jpg, so /other.png is not requested.
    assert watcher.site.requested_paths == [
        "/robots.txt",
        "/post",
        "/p.jpg",
    ]


def test_picture_at_the_watched_address_is_compared(watcher: PageWatcher) -> None:
    watcher.site.pages["/p.jpg"] = picture_reply()
    assert watcher.watch_pages("/p.jpg").check_state() == ("still there", "picture")


@pytest.mark.parametrize("change", ["mirrored", "framed"])
def test_mirrored_or_framed_picture_is_found(watcher: PageWatcher, change: str) -> None:
    import io

    from PIL import Image, ImageOps

    image = Image.open(io.BytesIO(photo()))
    changed = (
        ImageOps.mirror(image) if change == "mirrored" else ImageOps.expand(image, 60, "white")
    )
    file = io.BytesIO()
    changed.save(file, "PNG")
    watcher.site.pages["/p"] = reply(file.getvalue(), "image/png")
    assert watcher.watch_pages("/p").check_state() == ("still there", "picture")


def test_page_with_another_picture_is_not_called_gone(watcher: PageWatcher) -> None:
    watcher.site.pages |= {"/post": reply(POST_HTML), "/p.jpg": picture_reply("coffee")}
    assert watcher.watch_pages("/post").check_state() == ("unknown", "no-picture")


def test_case_without_a_picture_only_checks_that_the_page_answers(watcher: PageWatcher) -> None:
    serve_post(watcher)
    watcher.watch_pages("/post", with_picture=False)
    assert watcher.check_state() == ("still there", "answers")
    assert watcher.site.requested_paths == ["/robots.txt", "/post"]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (404, ("gone", "not-found")),
        (410, ("gone", "not-found")),
        (451, ("gone", "withheld")),
        (401, ("unknown", "sign-in")),
        (403, ("unknown", "sign-in")),
        (429, ("unknown", "busy")),
        (503, ("unknown", "busy")),
        (500, ("unreachable", "silent")),
        (304, ("unknown", "odd")),  # the request was not conditional
        (418, ("unknown", "odd")),
    ],
)
def test_http_status_decides_the_state(
    watcher: PageWatcher, status: int, expected: tuple[str, str]
) -> None:
    body = b"" if status == 304 else b"words"
    watcher.site.pages["/post"] = reply(body, status=status)
    assert watcher.watch_pages("/post").check_state() == expected


def test_redirected_page_has_moved(watcher: PageWatcher) -> None:
    serve_post(watcher)
    watcher.site.pages["/old"] = redirect_reply("/post", 301)
    assert watcher.watch_pages("/old").check_state() == ("moved", "picture-elsewhere")
    watcher.site.pages["/post"] = reply("start page")
    assert watcher.check_state(days=2) == ("moved", "elsewhere")


def test_redirect_that_only_removes_a_slash_is_no_move(watcher: PageWatcher) -> None:
    serve_post(watcher)
    watcher.site.pages |= {"/post/": redirect_reply("/post")}
    assert watcher.watch_pages("/post/").check_state() == ("still there", "picture")


def test_second_check_is_conditional_and_requests_the_picture_again(watcher: PageWatcher) -> None:
    serve_post(watcher, ETag='"7"', Last_Modified="Wed, 25 Nov 2026 10:00:00 GMT")
    watcher.watch_pages("/post").check_due()
    watcher.site.pages["/post"] = reply(status=304)
    watcher.site.requests.clear()
    assert watcher.check_state(days=2) == ("still there", "picture")
    assert watcher.site.requested_paths == ["/robots.txt", "/post", "/p.jpg"]
    headers = dict(watcher.site.requests)["/post"]
    assert headers["if-none-match"] == '"7"'
    assert headers["if-modified-since"] == "Wed, 25 Nov 2026 10:00:00 GMT"
    assert "if-none-match" not in dict(watcher.site.requests)["/p.jpg"]


def test_picture_gone_from_an_unchanged_page_is_unknown(watcher: PageWatcher) -> None:
    serve_post(watcher, ETag='"7"')
    watcher.watch_pages("/post").check_due()
    watcher.site.pages["/post"] = reply(status=304)
    del watcher.site.pages["/p.jpg"]
    assert watcher.check_state(days=2) == ("unknown", "no-picture")


@pytest.mark.threat("watching-betrays")
def test_requests_reveal_nothing_about_the_person(watcher: PageWatcher) -> None:
    serve_post(watcher)
    watcher.watch_pages("/post").check_due()
    for _, headers in watcher.site.requests:
        assert set(headers) == {"host", "accept", "accept-encoding", "connection", "user-agent"}
        assert headers["user-agent"] == "Entrenous"


def test_robots_txt_is_obeyed(watcher: PageWatcher) -> None:
    serve_post(watcher)
    watcher.site.pages["/robots.txt"] = reply("User-agent: *\nDisallow: /post", "text/plain")
    assert watcher.watch_pages("/post").check_state() == ("unknown", "robots")
    assert watcher.site.requested_paths == ["/robots.txt"]
    (record,) = watched_in_case(watcher.case, watcher.owner.device)
    assert (
        RARE_CHECK_INTERVAL
        <= record.due_at - watcher.owner.clock.now()
        <= RARE_CHECK_INTERVAL * 9 / 8
    )


def test_failing_robots_txt_prevents_the_check(watcher: PageWatcher) -> None:
    serve_post(watcher)
    watcher.site.pages["/robots.txt"] = reply(status=500)
    assert watcher.watch_pages("/post").check_state() == ("unreachable", "silent")
    assert watcher.site.requested_paths == ["/robots.txt"]


def test_retry_after_of_robots_txt_is_honoured(watcher: PageWatcher) -> None:
    serve_post(watcher)
    watcher.site.pages["/robots.txt"] = reply(status=503, Retry_After="864000")
    (one,) = watcher.watch_pages("/post").check_due()
    wait = one.record.due_at - watcher.owner.clock.now()
    assert timedelta(days=10) <= wait <= timedelta(days=10) * 9 / 8


def test_robots_txt_is_requested_once_in_a_run(watcher: PageWatcher) -> None:
    serve_post(watcher)
    watcher.watch_pages("/post", "/p.jpg").check_due()
    assert watcher.site.requested_paths.count("/robots.txt") == 1


def test_requests_to_one_host_have_pauses_between_them(watcher: PageWatcher) -> None:
    serve_post(watcher)
    watcher.watch_pages("/post").check_due()
    assert watcher.pause_clock.pauses == [HOST_PAUSE_S, HOST_PAUSE_S]


def test_retry_after_is_honoured_for_every_sighting_of_the_host(watcher: PageWatcher) -> None:
    watcher.site.pages |= {"/a": reply(status=429, Retry_After="86400"), "/b": reply("b")}
    watcher.watch_pages("/a", "/b")
    assert [one.record.sighting for one in watcher.check_due()] == [1]
    watcher.site.requests.clear()
    assert watcher.check_due(hours=23) == []
    assert watcher.site.requests == []
    assert [one.record.sighting for one in watcher.check_due(hours=5)] == [1]


def test_unreachable_site_is_checked_less_and_less_often(watcher: PageWatcher) -> None:
    watcher.watch_pages("http://127.0.0.1:9/post")
    waits = []
    for _ in range(10):
        (one,) = watcher.check_due(days=8)
        assert one.record.state == "unreachable"
        waits.append(one.record.due_at - watcher.owner.clock.now())
    hours = [wait / timedelta(hours=1) for wait in waits]
    for number, wait in enumerate(hours):
        least = min(2**number, 168)
        assert least <= wait <= least * 9 / 8


def test_no_request_is_sent_before_a_check_is_due(watcher: PageWatcher) -> None:
    serve_post(watcher)
    watcher.watch_pages("/post").check_due()
    watcher.site.requests.clear()
    assert watcher.check_due(hours=23) == []
    assert watcher.site.requests == []
    assert len(watcher.check_due(hours=5)) == 1


def test_reappearance_is_reported_once_and_recorded_in_the_case(watcher: PageWatcher) -> None:
    serve_post(watcher)
    watcher.watch_pages("/post").check_due()
    device, page = watcher.owner.device, watcher.site.pages.pop("/post")
    links = len(custody_chain(find_case(watcher.case, device).name, device))
    assert watcher.check_state(days=2) == ("gone", "not-found")
    assert watcher.check_due(days=2)[0].is_back is False
    # A check that does not find the picture adds no link to the custody chain.
    assert len(custody_chain(find_case(watcher.case, device).name, device)) == links
    watcher.site.pages["/post"] = page
    (back,) = watcher.check_due(days=2)
    assert (back.record.state.value, back.is_back) == ("still there", True)
    case = find_case(watcher.case, device)
    step = next_step(case, watcher.owner.clock.now())
    assert "The picture was removed and is back at sighting 1" in step
    assert len(verify_chain(case.name, device)) == links + 1
    assert watcher.check_due(days=2)[0].is_back is False
    assert len(verify_chain(case.name, device)) == links + 1


def test_reappearance_after_a_removal_suggests_the_same_notice(
    watcher: PageWatcher,
) -> None:
    serve_post(watcher)
    watcher.watch_pages("/post")
    device, clock = watcher.owner.device, watcher.owner.clock
    draft_and_store_notice(watcher.case, "us-tida-removal", device, (1,))
    for event in (NoticeEvent.SEND, NoticeEvent.REMOVAL):
        clock.advance(hours=1)
        record_notice_event(watcher.case, 1, event, clock.now(), device)
    assert watcher.check_due(days=1)[0].is_back is True
    step = next_step(find_case(watcher.case, device), clock.now())
    again = f"entrenous case notice {watcher.case} --route us-tida-removal --sighting 1"
    assert again in step
    clock.advance(hours=1)
    draft_and_store_notice(watcher.case, "us-tida-removal", device, (1,))
    assert "is back" not in next_step(find_case(watcher.case, device), clock.now())
    assert watcher.check_due(days=2)[0].is_back is False


def test_removed_picture_whose_page_stays_is_no_reappearance(watcher: PageWatcher) -> None:
    watcher.site.pages["/post"] = reply("the post without its picture")
    watcher.watch_pages("/post")
    device, clock = watcher.owner.device, watcher.owner.clock
    draft_and_store_notice(watcher.case, "us-tida-removal", device, (1,))
    for event in (NoticeEvent.SEND, NoticeEvent.REMOVAL):
        record_notice_event(watcher.case, 1, event, clock.now(), device)
    assert watcher.check_due(days=1)[0].is_back is False


def test_downloaded_content_is_not_stored(watcher: PageWatcher) -> None:
    serve_post(watcher, POST_HTML + "words of the page")
    watcher.watch_pages("/post").check_due()
    stored = b"".join(
        record for table in watcher.owner.vault._tables.values() for record in table.values()
    )
    assert b"words of the page" not in stored
    assert len(watcher.owner.vault._files) == 1  # the person's own picture


def test_closed_case_is_not_checked(watcher: PageWatcher) -> None:
    serve_post(watcher)
    watcher.watch_pages("/post")
    close_case(watcher.case, watcher.owner.device)
    assert watcher.check_due() == []
    assert watcher.site.requests == []
    record = load_watched(watcher.case, 1, watcher.owner.device)
    assert record is not None
    assert record.due_at == watcher.owner.clock.now() + CHECK_INTERVAL


@pytest.mark.parametrize(("days", "status"), [(2, 200), (400, 200), (400, 503)])
def test_check_is_due_at_once_after_the_clock_was_ahead(
    watcher: PageWatcher, days: int, status: int
) -> None:
    watcher.site.pages["/post"] = reply(POST_HTML, status=status)
    assert len(watcher.watch_pages("/post").check_due(days=days)) == 1
    (one,) = watcher.check_due(days=-days, hours=6)
    assert one.record.due_at - watcher.owner.clock.now() <= CHECK_INTERVAL * 9 / 8
    assert watcher.check_due(minutes=1) == []


@pytest.mark.parametrize("end", ["switched on", "closed"])
def test_sighting_that_was_not_checked_while_the_clock_was_ahead_is_due_at_once(
    watcher: PageWatcher, end: str
) -> None:
    serve_post(watcher)
    device = watcher.owner.device
    if end == "switched on":
        watcher.owner.clock.advance(days=400)
        watcher.watch_pages("/post")
    else:
        close_case(watcher.watch_pages("/post").case, device)
        assert watcher.check_due(days=400) == []
        reopen_case(watcher.case, device)
    assert len(watcher.check_due(days=-400)) == 1


@pytest.mark.threat("under-eighteen")
def test_no_request_is_sent_for_a_case_about_somebody_under_18(watcher: PageWatcher) -> None:
    serve_post(watcher)
    watcher.watch_pages("/post")
    with pytest.raises(NotAllAdults):
        record_somebody_under_18(watcher.case, situation_in("US"), watcher.owner.device)
    assert watcher.check_due() == []
    assert watcher.site.requests == []
    assert watched_in_case(watcher.case, watcher.owner.device) == ()


def test_agreement_with_a_proxy_is_not_valid_without_a_proxy(watcher: PageWatcher) -> None:
    from entrenous.respond.watch.records import AGREEMENT_TABLE, WatchingAgreement

    serve_post(watcher)
    watcher.watch_pages("/post")
    device = watcher.owner.device
    AGREEMENT_TABLE.store(WatchingAgreement(device.clock.now(), True), "watch", device.vault)
    with pytest.raises(WatchingNotAgreed):
        watcher.check_due()
    assert watcher.site.requests == []


def test_missing_item_of_one_case_does_not_prevent_the_checks_of_another(
    watcher: PageWatcher,
) -> None:
    serve_post(watcher)
    vault, damaged = watcher.owner.vault, watcher.watch_pages("/post").case
    blob = find_case(damaged, watcher.owner.device).evidence[0].blob
    picture = vault._files.pop(blob)
    watcher.owner.clock.advance(seconds=1)
    watcher.watch_pages("/post")  # a second case
    first, second = watcher.check_due()
    assert (first.record.case, first.record.why.value) == (damaged, "answers")
    assert (second.record.case, second.record.why.value) == (watcher.case, "picture")
    vault._files[blob] = picture
    assert [one.record.why.value for one in watcher.check_due(days=2)] == ["picture", "picture"]


def test_item_whose_reading_cannot_be_recorded_is_not_compared(watcher: PageWatcher) -> None:
    serve_post(watcher)
    watcher.watch_pages("/post")
    links = watcher.owner.vault._tables["custody"]
    del links[max(links)]
    assert watcher.check_state() == ("still there", "answers")


@pytest.mark.parametrize("failing_call", [1, 2])  # of the case's picture, and of the site's
def test_picture_is_compared_later_if_the_decoder_does_not_start(
    watcher: PageWatcher, failing_call: int
) -> None:
    decoder, calls = watcher.read_picture, list[int]()

    def read(data: bytes) -> Picture:
        calls.append(len(data))
        if len(calls) == failing_call:
            raise DecoderDidNotStart
        return decoder(data)

    watcher.read_picture = read
    serve_post(watcher)
    device = watcher.watch_pages("/post").owner.device
    before = find_case(watcher.case, device)
    assert watcher.check_state() == ("unknown", "odd")
    assert watcher.check_state(days=2) == ("still there", "picture")
    assert len(verify_chain(before.name, device)) == before.links + 1
