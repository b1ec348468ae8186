"""Later steps of a case: watch pages, capture a page, hand over evidence, and close, reopen or
erase the case.
"""

import time
from datetime import timedelta
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from entrenous.app.forms import read_form, typed_text, typed_texts
from entrenous.app.jobs import ReportProgress
from entrenous.app.pages.case_evidence import JobOutcome
from entrenous.app.pages.help_lines import present_help_lines
from entrenous.app.pages.one_case import case_handle, find_case_name, run_in_case
from entrenous.app.web import (
    error_words,
    language_of,
    posted_or_kept_form,
    redirect_to,
    show,
    start_job,
    state_of,
)
from entrenous.app.wording import group_list_items
from entrenous.base.errors import EntrenousError
from entrenous.base.language import translatable, translated
from entrenous.device.device import Device
from entrenous.device.open_device import with_fast_picture_decoding
from entrenous.respond.age_gate import NotAllAdults
from entrenous.respond.capture.saved_page import translated_file_description
from entrenous.respond.case_file import find_case, find_open_case
from entrenous.respond.case_status import (
    ARCHIVE_KEEPS_CASE_NOTE,
    close_case,
    erase_case,
    erasure_receipt,
    reopen_case,
)
from entrenous.respond.client.stamp_authority import verify_stamp
from entrenous.respond.nouns import AgeAnswer, Case
from entrenous.respond.open_case import DEFAULT_CAPTURE_PURPOSE, record_somebody_under_18
from entrenous.respond.packs.hand_over import encrypt_pack_for, first_recipient_key
from entrenous.respond.packs.make_pack import (
    Pack,
    make_pack_for_court,
    make_pack_for_platform,
    only_letter_to_platform,
)
from entrenous.respond.situation import Situation
from entrenous.respond.watch.records import (
    describe_what_site_sees,
    has_agreed_to_watching,
    host_and_port_of,
    start_watching,
    stop_watching,
    store_watching_agreement,
    watched_in_case,
)
from entrenous.respond.watch.states import WatchedSighting, watch_state_in_words
from entrenous.respond.who_helps import HelpNeed, find_help_lines
from entrenous.wire.encodings import canonical_json

_NOTHING_LEFT_TEXT: Final = translatable("Nothing of it is left on this device.")
_ONLY_NUMBER_LEFT_TEXT: Final = translatable(
    "Only a check number of this case is left on this device, so that an archive does not bring "
    "the case back."
)


def routes() -> list[Route]:
    return [
        Route("/92/{case}", show_watching, name="watching", methods=["GET"]),
        Route("/92/{case}", watch_check_or_capture_page, methods=["POST"]),
        Route("/93/{case}", show_pack_choices, name="packs", methods=["GET"]),
        Route("/93/{case}", start_making_pack, methods=["POST"]),
        Route("/94/{case}", show_ending_choices, name="ending", methods=["GET"]),
        Route("/94/{case}", close_reopen_or_erase_case, methods=["POST"]),
        Route("/95/{case}", show_under_18_help_in_case, name="under_18_later", methods=["GET"]),
        Route("/95/{case}", record_under_18_and_close, methods=["POST"]),
    ]


async def show_watching(request: Request, words: str = "") -> Response:
    """Show which pages are watched, and what their sites learn from the requests."""
    by_proxy = _uses_proxy(request)

    def read_watched(name: str, device: Device) -> tuple[Case, dict[int, WatchedSighting], bool]:
        watched = {one.sighting: one for one in watched_in_case(name, device)}
        return (
            find_open_case(name, device),
            watched,
            has_agreed_to_watching(device, by_proxy=by_proxy),
        )

    case, watched, agreed = await run_in_case(request, read_watched)
    return show(
        request,
        "watching.html",
        status=409 if words else 200,
        words=words,
        case=case_handle(request),
        pages=[seen for seen in case.sightings if host_and_port_of(seen.where)],
        watched={number: watch_state_in_words(one) for number, one in watched.items()},
        agreed=agreed,
        sees=group_list_items(describe_what_site_sees(by_proxy=by_proxy)),
    )


async def watch_check_or_capture_page(request: Request) -> Response:
    """Switch watching on or off, check now, or capture a page; everything but switching off needs
    the person's consent.
    """
    form, by_proxy = await read_form(request), _uses_proxy(request)
    on, off = typed_text(form, "on"), typed_text(form, "off")

    def apply_watching_changes(name: str, device: Device) -> bool:
        find_open_case(name, device)
        if typed_text(form, "agree"):
            store_watching_agreement(device, by_proxy=by_proxy)
        if off.isdigit():
            stop_watching(name, int(off), device)
        if on.isdigit() and has_agreed_to_watching(device, by_proxy=by_proxy):
            start_watching(name, int(on), device, by_proxy=by_proxy)
        return has_agreed_to_watching(device, by_proxy=by_proxy)

    may = await run_in_case(request, apply_watching_changes)
    if not may and not off:
        return await show_watching(request, translated(_AGREE_FIRST_MESSAGE))
    if typed_text(form, "look"):
        return await _start_checking_pages(request)
    if typed_text(form, "capture").isdigit():
        return await _start_capture(request, int(typed_text(form, "capture")))
    return redirect_to(request, "watching", case=case_handle(request))


_AGREE_FIRST_MESSAGE: Final = translatable(
    "Read what the site sees first. If that is fine with you, tick the box."
)


async def _start_checking_pages(request: Request) -> Response:
    from entrenous.respond.client.public_web import PublicWeb  # noqa: PLC0415 -- loads httpx
    from entrenous.respond.watch.check_sightings import check_due_sightings  # noqa: PLC0415 -- loads NumPy
    from entrenous.respond.watch.polite_web import PoliteWeb  # noqa: PLC0415 -- as above

    name, handle = await find_case_name(request), case_handle(request)
    proxy, say = state_of(request).settings.proxy, language_of(request).sentences.gettext

    def check_pages(device: Device, report: ReportProgress) -> JobOutcome:
        web, lines = PoliteWeb(PublicWeb(proxy), time.monotonic, time.sleep), list[str]()
        with with_fast_picture_decoding(device) as decoding:
            for one in check_due_sightings(decoding, web, by_proxy=proxy is not None, name=name):
                lines.append(watch_state_in_words(one.record))
                report(say("Looking at the pages"), len(lines), 0)
        words = tuple(lines) or (say("Nothing is due to be looked at yet."),)
        return JobOutcome(say("What was seen"), words, handle, "watching")

    return start_job(request, say("Looking at the pages"), check_pages, "outcome")


async def _start_capture(request: Request, sighting: int) -> Response:
    from entrenous.respond.capture.capture_page import (  # noqa: PLC0415 -- loads warcio
        CaptureEnvironment,
        capture_page,
    )
    from entrenous.respond.client.public_web import PublicWeb  # noqa: PLC0415 -- loads httpx

    name, handle = await find_case_name(request), case_handle(request)
    proxy, say = state_of(request).settings.proxy, language_of(request).sentences.gettext

    def capture_one_page(device: Device, report: ReportProgress) -> JobOutcome:
        report(say("Fetching the page"), 0, 0)
        web = PublicWeb(proxy, records=True)
        offset = device.clock.now().astimezone().utcoffset() or timedelta()
        asking = CaptureEnvironment(web, time.monotonic, time.sleep, offset, proxy is not None)
        case = capture_page(name, sighting, DEFAULT_CAPTURE_PURPOSE, asking, device)
        return JobOutcome(
            say("The page is kept"),
            (translated_file_description(case.evidence[-1].what),),
            handle,
            "evidence",
        )

    return start_job(request, say("Keeping the page"), capture_one_page, "outcome")


async def show_pack_choices(request: Request, words: str = "") -> Response:
    """Ask who gets the evidence pack: a platform, whose pack contains no pictures, or a court,
    whose pack is encrypted to the court's key.
    """
    case = await run_in_case(request, find_case)
    return show(
        request,
        "packs.html",
        status=409 if words else 200,
        words=words,
        it=case,
        only_letter=only_letter_to_platform(case),
        case=case_handle(request),
        form=posted_or_kept_form(request),
    )


async def start_making_pack(request: Request) -> Response:
    form = await read_form(request)
    name, handle = await find_case_name(request), case_handle(request)
    say = language_of(request).sentences.gettext
    key = typed_text(form, "key")
    if typed_text(form, "for") == "court":
        try:
            key = first_recipient_key(key)
        except EntrenousError as why:
            return await show_pack_choices(request, error_words(why))
    letters = tuple(int(one) for one in typed_texts(form, "letter") if one.isdigit())

    def make_and_describe_pack(device: Device, report: ReportProgress) -> JobOutcome:
        report(say("Packing"), 0, 0)
        made, data, file = _make_requested_pack(name, key, letters, device)
        sentence = say(
            "The fingerprint of this pack, to pass on over another channel: {fingerprint}"
        )
        words = (sentence.format(fingerprint=made.fingerprint.hex()),)
        return JobOutcome(say("The pack is ready"), words, handle, "packs", data, file)

    return start_job(request, say("Packing"), make_and_describe_pack, "outcome")


def _make_requested_pack(
    name: str, key: str, letters: tuple[int, ...], device: Device
) -> tuple[Pack, bytes, str]:
    """Make a pack for a court if there is a key, else for a platform."""
    kept = list[bytes]()
    if key:

        def encrypt_pack(made: Pack) -> None:
            kept.append(encrypt_pack_for(key, made.zipped()))

        pack = make_pack_for_court(name, key, device, verify_stamp, encrypt_pack)
        return pack, kept[0], "pack.zip.age"
    made = make_pack_for_platform(name, letters, (), device, lambda one: kept.append(one.zipped()))
    return made, kept[0], "pack.zip"


async def show_ending_choices(request: Request) -> Response:
    """Ask whether to close, reopen, or erase the case, and explain each."""
    return show(
        request,
        "ending.html",
        it=await run_in_case(request, find_case),
        case=case_handle(request),
        archive_keeps=translated(ARCHIVE_KEEPS_CASE_NOTE),
    )


async def close_reopen_or_erase_case(request: Request) -> Response:
    act = typed_text(await read_form(request), "act")
    if act == "erase":
        return await _start_erasing_case(request)
    done = {"close": close_case, "open": reopen_case}.get(act)
    if done is not None:
        await run_in_case(request, done)
    return redirect_to(request, "case", case=case_handle(request))


async def _start_erasing_case(request: Request) -> Response:
    """Erase the case, and offer a receipt. The receipt says when something was erased, but not
    what.
    """
    name, say = await find_case_name(request), language_of(request).sentences.gettext
    page_files, jobs = state_of(request).page_files, state_of(request).jobs
    handle = case_handle(request)

    def is_about_case(result: object) -> bool:
        return isinstance(result, JobOutcome) and result.case == handle

    def erase_with_receipt(device: Device, report: ReportProgress) -> JobOutcome:
        report(say("Erasing the case"), 0, 0)
        receipt = canonical_json(erasure_receipt(device)) + b"\n"
        left = _what_erasure_leaves(find_case(name, device))
        erase_case(name, device)
        page_files.forget_files_of(name)
        jobs.forget_results(is_about_case)
        words = (left, translated(ARCHIVE_KEEPS_CASE_NOTE))
        sentence = say(
            "If somebody may ask whether you erased something, save the receipt. It has the time"
            " and a random number, and nothing about the case."
        )
        erased, save = say("The case is erased"), say("Save the receipt")
        file = (receipt, "receipt.json")
        return JobOutcome(erased, (*words, sentence), "", "cases", *file, save=save)

    return start_job(request, say("Erasing the case"), erase_with_receipt, "outcome")


def _what_erasure_leaves(case: Case) -> str:
    if case.age is AgeAnswer.ADULTS:
        return translated(_NOTHING_LEFT_TEXT)
    return translated(_ONLY_NUMBER_LEFT_TEXT)


async def show_under_18_help_in_case(request: Request) -> Response:
    """Show who helps, before the case records that somebody was under 18."""
    case = await run_in_case(request, find_case)

    def find_lines_for_under_18(_: str, device: Device) -> object:
        found = find_help_lines(case.situation.places, HelpNeed(under_18=True))
        return present_help_lines(found, device.clock.now(), under_18=True)

    return show(
        request,
        "under_18_later.html",
        case=case_handle(request),
        lines=await run_in_case(request, find_lines_for_under_18),
        noted=case.age is not AgeAnswer.ADULTS,
    )


async def record_under_18_and_close(request: Request) -> Response:
    """Record that somebody was under 18, which closes the case for good."""

    def record_under_18_in_case(name: str, device: Device) -> None:
        record_somebody_under_18(name, Situation(()), device)

    try:
        await run_in_case(request, record_under_18_in_case)
    except NotAllAdults:
        return redirect_to(request, "under_18_later", case=case_handle(request))
    return redirect_to(request, "cases")


def _uses_proxy(request: Request) -> bool:
    return state_of(request).settings.proxy is not None
