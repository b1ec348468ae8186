"""Two friends find each other by a link, and compare keys by seven pictures, live."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.app.friends import introduce, two_friends
from tests.app.served import no_violations

pytestmark = [pytest.mark.real, pytest.mark.slow]


def test_two_friends_compare_by_pictures_without_reloading(
    browser: Browser, tmp_path: Path
) -> None:
    with two_friends(tmp_path, browser) as friends:
        introduce(friends)
        ana, ben = friends.ana, friends.ben
        no_violations(ana)
        ana.get_by_role("link", name="By seven pictures").click()
        ana.get_by_role("button", name="Begin").click()
        ben.get_by_role("link", name="By seven pictures").click()
        ben.get_by_role("button", name="They asked you to compare. Go on").click()
        for page in (ana, ben):
            page.get_by_role("button", name="They are the same").wait_for()
            no_violations(page)
        shown = [page.get_by_role("listitem").all_inner_texts() for page in (ana, ben)]
        assert shown[0] == shown[1]
        assert len(shown[0]) == 7
        for page in (ana, ben):
            page.get_by_role("button", name="They are the same").click()
        for page in (ana, ben):
            page.get_by_text("Nobody sits between you and").wait_for()
