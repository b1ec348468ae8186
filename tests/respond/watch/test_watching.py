"""Tests of watching pages on loopback: the requests, the states, and pages that come back."""

from datetime import timedelta

import pytest

from entrenous.respond.age_gate import NotAllAdults
from entrenous.respond.case_file import find_case
from entrenous.respond.case_status import NoticeEvent, close_case, record_notice_event
from entrenous.respond.custody import custody_chain, verify_chain
from entrenous.respond.letters.draft import draft_and_store_notice
from entrenous.respond.next_step import next_step
from entrenous.respond.open_case import record_somebody_under_18
from entrenous.respond.watch.polite_web import HOST_PAUSE_S
from entrenous.respond.watch.records import WatchingNotAgreed, load_watched, watched_in_case
from entrenous.respond.watch.states import CHECK_INTERVAL, RARE_CHECK_INTERVAL
from tests.respond.room import lived_in
from tests.respond.watch.site import Watching, photo, picture, redirect, reply

pytestmark = pytest.mark.real

PAGE = '<html><meta property="og:image" content="/p.jpg"><img src="/other.png"></html>'


def serve_post(watching: Watching, page: str = PAGE, **headers: str) -> None:
    watching.site.pages |= {"/post": reply(page, **headers), "/p.jpg": picture()}


def test_picture_on_a_page_is_found_although_it_was_saved_again(watching: Watching) -> None:
    serve_post(watching)
    assert watching.watch_pages("/post").state() == ("still there", "picture")
    assert watching.site.paths == ["/robots.txt", "/post", "/p.jpg"]  # other.png is not needed


def test_address_of_the_picture_itself_is_compared(watching: Watching) -> None:
    watching.site.pages["/p.jpg"] = picture()
    assert watching.watch_pages("/p.jpg").state() == ("still there", "picture")


@pytest.mark.parametrize("change", ["mirrored", "framed"])
def test_mirrored_or_framed_picture_is_found(watching: Watching, change: str) -> None:
    import io

    from PIL import Image, ImageOps

    image = Image.open(io.BytesIO(photo()))
    changed = (
        ImageOps.mirror(image) if change == "mirrored" else ImageOps.expand(image, 60, "white")
    )
    file = io.BytesIO()
    changed.save(file, "PNG")
    watching.site.pages["/p"] = reply(file.getvalue(), "image/png")
    assert watching.watch_pages("/p").state() == ("still there", "picture")


def test_page_with_another_picture_is_not_called_gone(watching: Watching) -> None:
    watching.site.pages |= {"/post": reply(PAGE), "/p.jpg": picture("coffee")}
    assert watching.watch_pages("/post").state() == ("unknown", "no-picture")


def test_case_without_a_picture_watches_whether_the_page_answers(watching: Watching) -> None:
    serve_post(watching)
    watching.watch_pages("/post", with_picture=False)
    assert watching.state() == ("still there", "answers")
    assert watching.site.paths == ["/robots.txt", "/post"]


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
    watching: Watching, status: int, expected: tuple[str, str]
) -> None:
    body = b"" if status == 304 else b"words"
    watching.site.pages["/post"] = reply(body, status=status)
    assert watching.watch_pages("/post").state() == expected


def test_page_that_leads_elsewhere_has_moved(watching: Watching) -> None:
    serve_post(watching)
    watching.site.pages["/old"] = redirect("/post", 301)
    assert watching.watch_pages("/old").state() == ("moved", "picture-elsewhere")
    watching.site.pages["/post"] = reply("start page")
    assert watching.state(days=2) == ("moved", "elsewhere")


def test_slash_at_the_end_is_no_move(watching: Watching) -> None:
    serve_post(watching)
    watching.site.pages |= {"/post/": redirect("/post")}
    assert watching.watch_pages("/post/").state() == ("still there", "picture")


def test_second_check_is_conditional_and_requests_the_picture_again(watching: Watching) -> None:
    serve_post(watching, ETag='"7"', Last_Modified="Wed, 25 Nov 2026 10:00:00 GMT")
    watching.watch_pages("/post").check_due()
    watching.site.pages["/post"] = reply(status=304)
    watching.site.asked.clear()
    assert watching.state(days=2) == ("still there", "picture")
    assert watching.site.paths == ["/robots.txt", "/post", "/p.jpg"]
    headers = dict(watching.site.asked)["/post"]
    assert headers["if-none-match"] == '"7"'
    assert headers["if-modified-since"] == "Wed, 25 Nov 2026 10:00:00 GMT"
    assert "if-none-match" not in dict(watching.site.asked)["/p.jpg"]


def test_picture_gone_from_an_unchanged_page_is_unknown(watching: Watching) -> None:
    serve_post(watching, ETag='"7"')
    watching.watch_pages("/post").check_due()
    watching.site.pages["/post"] = reply(status=304)
    del watching.site.pages["/p.jpg"]
    assert watching.state(days=2) == ("unknown", "no-picture")


@pytest.mark.threat("watching-betrays")
def test_requests_say_nothing_about_the_person(watching: Watching) -> None:
    serve_post(watching)
    watching.watch_pages("/post").check_due()
    for _, headers in watching.site.asked:
        assert set(headers) == {"host", "accept", "accept-encoding", "connection", "user-agent"}
        assert headers["user-agent"] == "Entrenous"


def test_robots_txt_is_obeyed(watching: Watching) -> None:
    serve_post(watching)
    watching.site.pages["/robots.txt"] = reply("User-agent: *\nDisallow: /post", "text/plain")
    assert watching.watch_pages("/post").state() == ("unknown", "robots")
    assert watching.site.paths == ["/robots.txt"]
    (record,) = watched_in_case(watching.case, watching.room.device)
    assert (
        RARE_CHECK_INTERVAL
        <= record.due_at - watching.room.clock.now()
        <= RARE_CHECK_INTERVAL * 9 / 8
    )


def test_robots_txt_that_fails_forbids_for_now(watching: Watching) -> None:
    serve_post(watching)
    watching.site.pages["/robots.txt"] = reply(status=500)
    assert watching.watch_pages("/post").state() == ("unreachable", "silent")
    assert watching.site.paths == ["/robots.txt"]


def test_robots_txt_is_requested_once_in_a_run(watching: Watching) -> None:
    serve_post(watching)
    watching.watch_pages("/post", "/p.jpg").check_due()
    assert watching.site.paths.count("/robots.txt") == 1


def test_requests_to_one_host_have_pauses_between_them(watching: Watching) -> None:
    serve_post(watching)
    watching.watch_pages("/post").check_due()
    assert watching.pauses.slept == [HOST_PAUSE_S, HOST_PAUSE_S]


def test_retry_after_is_honoured_for_every_sighting_of_that_host(watching: Watching) -> None:
    watching.site.pages |= {"/a": reply(status=429, Retry_After="86400"), "/b": reply("b")}
    watching.watch_pages("/a", "/b")
    assert [one.record.sighting for one in watching.check_due()] == [1]
    watching.site.asked.clear()
    assert watching.check_due(hours=23) == []
    assert watching.site.asked == []
    assert [one.record.sighting for one in watching.check_due(hours=5)] == [1]


def test_unreachable_site_is_checked_less_and_less_often(watching: Watching) -> None:
    watching.watch_pages("http://127.0.0.1:9/post")
    waits = []
    for _ in range(10):
        (one,) = watching.check_due(days=8)
        assert one.record.state == "unreachable"
        waits.append(one.record.due_at - watching.room.clock.now())
    hours = [wait / timedelta(hours=1) for wait in waits]
    for number, wait in enumerate(hours):
        least = min(2**number, 168)
        assert least <= wait <= least * 9 / 8


def test_no_request_is_sent_before_a_check_is_due(watching: Watching) -> None:
    serve_post(watching)
    watching.watch_pages("/post").check_due()
    watching.site.asked.clear()
    assert watching.check_due(hours=23) == []
    assert watching.site.asked == []
    assert len(watching.check_due(hours=5)) == 1


def test_reappearance_is_reported_once_and_recorded_in_the_case(watching: Watching) -> None:
    serve_post(watching)
    watching.watch_pages("/post").check_due()
    device, page = watching.room.device, watching.site.pages.pop("/post")
    links = len(custody_chain(find_case(watching.case, device).name, device))
    assert watching.state(days=2) == ("gone", "not-found")
    assert watching.check_due(days=2)[0].is_back is False
    assert (
        len(custody_chain(find_case(watching.case, device).name, device)) == links
    )  # a check adds no link
    watching.site.pages["/post"] = page
    (back,) = watching.check_due(days=2)
    assert (back.record.state.value, back.is_back) == ("still there", True)
    case = find_case(watching.case, device)
    step = next_step(case, watching.room.clock.now())
    assert "The picture was removed and is back at sighting 1" in step
    assert len(verify_chain(case.name, device)) == links + 1
    assert watching.check_due(days=2)[0].is_back is False
    assert len(verify_chain(case.name, device)) == links + 1


def test_reappearance_after_a_removal_suggests_the_same_notice(
    watching: Watching,
) -> None:
    serve_post(watching)
    watching.watch_pages("/post")
    device, clock = watching.room.device, watching.room.clock
    draft_and_store_notice(watching.case, "us-tida-removal", device, (1,))
    for event in (NoticeEvent.SEND, NoticeEvent.REMOVAL):
        clock.advance(hours=1)
        record_notice_event(watching.case, 1, event, clock.now(), device)
    assert watching.check_due(days=1)[0].is_back is True
    step = next_step(find_case(watching.case, device), clock.now())
    again = f"entrenous case notice {watching.case} --route us-tida-removal --sighting 1"
    assert again in step
    clock.advance(hours=1)
    draft_and_store_notice(watching.case, "us-tida-removal", device, (1,))
    assert "is back" not in next_step(find_case(watching.case, device), clock.now())
    assert watching.check_due(days=2)[0].is_back is False


def test_removed_picture_whose_page_stays_is_no_reappearance(watching: Watching) -> None:
    watching.site.pages["/post"] = reply("the post without its picture")
    watching.watch_pages("/post")
    device, clock = watching.room.device, watching.room.clock
    draft_and_store_notice(watching.case, "us-tida-removal", device, (1,))
    for event in (NoticeEvent.SEND, NoticeEvent.REMOVAL):
        record_notice_event(watching.case, 1, event, clock.now(), device)
    assert watching.check_due(days=1)[0].is_back is False


def test_downloaded_content_is_not_stored(watching: Watching) -> None:
    serve_post(watching, PAGE + "words of the page")
    watching.watch_pages("/post").check_due()
    stored = b"".join(
        record for table in watching.room.vault._drawers.values() for record in table.values()
    )
    assert b"words of the page" not in stored
    assert len(watching.room.vault._files) == 1  # the person's own picture


def test_closed_case_is_not_checked(watching: Watching) -> None:
    serve_post(watching)
    watching.watch_pages("/post")
    close_case(watching.case, watching.room.device)
    assert watching.check_due() == []
    assert watching.site.asked == []
    record = load_watched(watching.case, 1, watching.room.device)
    assert record is not None
    assert record.due_at == watching.room.clock.now() + CHECK_INTERVAL


@pytest.mark.threat("under-eighteen")
def test_nothing_is_asked_about_anybody_under_18(watching: Watching) -> None:
    serve_post(watching)
    watching.watch_pages("/post")
    with pytest.raises(NotAllAdults):
        record_somebody_under_18(watching.case, lived_in("US"), watching.room.device)
    assert watching.check_due() == []
    assert watching.site.asked == []
    assert watched_in_case(watching.case, watching.room.device) == ()


def test_agreement_with_a_proxy_does_not_hold_without_one(watching: Watching) -> None:
    from entrenous.respond.watch.records import AGREEMENT_TABLE, WatchingAgreement

    serve_post(watching)
    watching.watch_pages("/post")
    device = watching.room.device
    AGREEMENT_TABLE.store(WatchingAgreement(device.clock.now(), True), "watch", device.vault)
    with pytest.raises(WatchingNotAgreed):
        watching.check_due()
    assert watching.site.asked == []
