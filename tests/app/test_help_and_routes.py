"""Tests of the pages about help lines, threats, first steps and legal routes, and of the questions
before a case.
"""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from starlette.requests import Request

from entrenous.app.pages.help_lines import suggest_places
from entrenous.base.language import speaking
from tests.app.served import PASSPHRASE, open_page, run_app, unlock
from tests.app.walker import MODE_PARAMETERS, Mode, Walker, set_up_at_once

pytestmark = [pytest.mark.real, pytest.mark.slow]


@MODE_PARAMETERS
def test_help_opens_without_a_vault_and_its_numbers_can_be_called(
    mode: Mode, browser: Browser, tmp_path: Path
) -> None:
    home = tmp_path / "device"
    with (
        run_app(home) as app,
        open_page(browser, app.link, script=mode != "no-script") as page,
    ):
        ana = Walker(page, mode)
        ana.press("People who help, now", "link")
        assert page.get_by_role("link", name="Call 112").count() == 0  # no country is assumed
        ana.fill("Which country do you live in?", "Germny")
        ana.press("Show who helps")
        assert page.get_by_role("alert").get_by_text("Did you mean Germany").is_visible()
        ana.press_exactly("Germany")
        numbers = page.get_by_role("link", name="Call 112")
        assert numbers.get_attribute("href") == "tel:112"
        first = page.get_by_role("heading", level=3).first.inner_text()
        kinds = page.get_by_role("heading", level=2).all_inner_texts()
        assert kinds[:2] == ["Whom you can call or write to", "Services on the web"]
        assert page.get_by_role("listitem").first.locator("a[href^='tel:']").count() > 0
        sites = page.get_by_role("list").filter(has_text="StopNCII.org (SWGfL)").first
        assert sites.locator("a[href^='tel:']").count() == 0
        ana.unfold("You said: Germany")
        ana.tick("I am not safe right now")
        ana.press("Show who helps")
        assert page.get_by_role("heading", level=3).first.inner_text() != first
        lines = page.locator("a[href^='tel:']").all()
        assert len(lines) >= 4
        assert not home.exists()


def test_the_browsers_language_offers_a_country_and_assumes_none(
    browser: Browser, tmp_path: Path
) -> None:
    with run_app(tmp_path / "device") as app, browser.new_context(locale="de-AT") as context:
        page = context.new_page()
        page.goto(app.link)
        page.get_by_role("link", name="People who help, now").click()
        assert page.get_by_label("Which country do you live in?").input_value() == ""
        page.get_by_role("button", name="Austria").click()
        page.locator("a[href='tel:133']").wait_for()


def test_person_in_danger_can_call_at_once_and_choose_another_country(
    browser: Browser, tmp_path: Path
) -> None:
    with run_app(tmp_path / "device") as app, browser.new_context(locale="de-AT") as context:
        page = context.new_page()
        page.goto(app.link)
        page.goto(f"{app.address}/82/1")
        call = page.locator("a[href^='tel:']").first
        assert call.get_attribute("href") == "tel:112"
        assert page.get_by_text("(Austria)").first.is_visible()
        page.locator("summary").filter(has_text="Choose your country").click()
        page.get_by_label("Which country do you live in?").fill("USA")
        page.get_by_role("button", name="Show the numbers there").click()
        assert call.get_attribute("href") == "tel:911"


def test_threat_button_leads_to_advice_and_no_question_about_posting(
    browser: Browser, tmp_path: Path
) -> None:
    with run_app(tmp_path / "device") as app, open_page(browser, app.link) as page:
        for start in ("/", "/80"):
            page.goto(f"{app.address}{start}")
            page.get_by_role("button", name="Somebody threatens me").click()
            assert page.get_by_label("Somebody threatens to share pictures").is_checked()
            assert page.get_by_text("Do not pay, and send nothing more").is_visible()
            page.get_by_role("button", name="Go on: save the demand").click()
            expect(page.get_by_role("heading", level=1)).to_have_text("Are you safe right now?")
            for answer in ("Yes", "No", "Yes"):
                page.get_by_role("button", name=answer, exact=True).click()
            expect(page.get_by_role("heading", level=1)).to_have_text(
                "Which country do you live in?"  # the app leaves out the question about posting
            )
            page.get_by_role("button", name="Stop").click()


def test_search_without_copies_says_where_to_begin(browser: Browser, tmp_path: Path) -> None:
    with run_app(tmp_path / "device") as app, open_page(browser, app.link) as page:
        page.get_by_role("link", name="I found something of mine").click()
        page.get_by_text("this device has made none yet").wait_for()
        page.get_by_role("link", name="Begin here").click()
        page.get_by_role("heading", name="Something happened").wait_for()


def test_a_suggested_country_has_its_name_in_the_language_of_the_page() -> None:
    request = Request({"type": "http", "headers": [(b"accept-language", b"de-AT,de;q=0.9")]})
    with speaking("de"):
        assert suggest_places(request)[0] == ("AT", "Österreich")


@MODE_PARAMETERS
def test_routes_open_without_a_vault_and_show_the_first_step_first(
    mode: Mode, browser: Browser, tmp_path: Path
) -> None:
    home = tmp_path / "device"
    with (
        run_app(home) as app,
        open_page(browser, app.link, script=mode != "no-script") as page,
    ):
        ana = Walker(page, mode)
        ana.press("Something happened", "link")
        ana.press("What can be done", "link")
        ana.press_exactly("Yes")
        ana.press("It is in a group chat")
        ana.press_exactly("Skip")
        ana.fill("Its name or web address", "Whats App")
        ana.press("Next")
        ana.press("Show what can be done", "link")
        assert page.get_by_role("heading", level=2).first.inner_text().startswith("Keep proof")
        ana.unfold("Ask the sender, the members")
        words = page.get_by_label("Words that you may send")
        assert words.input_value().startswith("This picture was shared without consent.")
        ana.press("Answer more questions, for a better answer", "link")
        assert page.get_by_role("heading", level=1).inner_text() == "Which country do you live in?"
        ana.press("Stop")
        assert not home.exists()


def test_button_copies_words_to_paste(browser: Browser, tmp_path: Path) -> None:
    with (
        run_app(tmp_path / "device") as app,
        browser.new_context(permissions=["clipboard-read", "clipboard-write"]) as context,
    ):
        page = context.new_page()
        page.goto(app.link)
        for link in ("Something happened", "What can be done"):
            page.get_by_role("link", name=link).click()
        page.get_by_role("button", name="Yes").click()
        page.get_by_role("button", name="It is in a group chat").click()
        page.get_by_role("link", name="Show what can be done").click()
        page.locator("summary").filter(has_text="Ask the sender").click()
        page.get_by_role("button", name="Copy", exact=True).first.click()
        page.get_by_role("button", name="Copied").wait_for()
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied.startswith("This picture was shared without consent.")


@MODE_PARAMETERS
def test_under_18_leads_to_other_help_and_no_answer_is_kept(
    mode: Mode, browser: Browser, tmp_path: Path
) -> None:
    with (
        run_app(tmp_path / "device") as app,
        open_page(browser, app.link, script=mode != "no-script") as page,
    ):
        set_up_at_once(page)
        ana = Walker(page, mode)
        ana.press("People who help, now", "link")
        ana.fill("Which country do you live in?", "Spain")
        ana.press("Show who helps")
        page.get_by_role("link", name="Start", exact=True).click()
        ana.press("Something happened", "link")
        ana.press("Begin: it is about me")
        ana.press_exactly("Yes")
        ana.press_exactly("No")
        ana.press("I am not sure")
        assert ana.headings[-1] == "It is good that you said so"
        assert page.get_by_text("Tell an adult you trust").first.is_visible()
        assert page.get_by_text("takeitdown.ncmec.org").first.is_visible()
        assert page.locator("a[href='tel:112']").is_visible()
        page.goto(f"{app.address}/71")  # the app has forgotten the country
        ana.fill("Which country do you live in?", "Spain")
        ana.press("Show who helps there")
        assert page.locator("a[href='tel:112']").is_visible()
        page.goto(f"{app.address}/70")
        assert page.get_by_label("Which country do you live in?").input_value() == ""
        page.goto(f"{app.address}/81/7")  # a question that comes after the one about age
        page.get_by_label("Web address of the page").fill("https://x.example/1")
        page.get_by_role("button", name="Open my case").click()
        expect(page.get_by_role("heading", level=1)).to_have_text(
            "Was everybody in the picture 18 or older when it was taken?"
        )
        page.goto(f"{app.address}/80")
        assert page.get_by_text("case-").count() == 0


def test_locking_midway_loses_no_answers_and_shows_none(browser: Browser, tmp_path: Path) -> None:
    with run_app(tmp_path / "device") as app, open_page(browser, app.link) as page:
        set_up_at_once(page)
        ana = Walker(page)
        ana.press("Something happened", "link")
        ana.press("Begin: it is about me")
        for answer in ("Yes", "No", "Yes"):
            ana.press_exactly(answer)
        ana.press("It is in a group chat")
        ana.press_exactly("Skip")
        ana.fill("The chat: which app, who is in it", "the class on WhatsApp")
        ana.fill("The account that showed it, if you know it", "Max")
        page.context.request.post(
            f"{app.address}/2", headers={"origin": app.address, "sec-fetch-site": "same-origin"}
        )
        ana.press("Open my case")
        assert ana.headings[-1] == "Unlock"
        page.goto(f"{app.address}/81/4")
        assert page.get_by_text("You said").count() == 0
        page.goto(f"{app.address}/90/x")  # redirects to the page "Unlock"
        page.goto(f"{app.address}/81/7")
        page.goto(f"{app.address}/1")
        unlock(page)
        page.get_by_role("heading").first.wait_for()
        page.goto(f"{app.address}/81/7")
        assert page.get_by_label("The chat: which app, who is in it").input_value() != ""
        ana.press("Open my case")
        assert page.get_by_text("the class on WhatsApp").is_visible()
        assert PASSPHRASE not in page.content()
