"""Tests of reading a device's code with a simulated camera, and of the page without script."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from tests.app.friends import create_device_without_browser, open_app, run_relay, unlock_app
from tests.app.served import assert_no_violations, chromium_program, open_page, run_app

pytestmark = [pytest.mark.real, pytest.mark.slow]
_WAIT_FOR_FIRST_FRAME = """video => new Promise(done => {
    if (video.videoWidth) done();
    else video.addEventListener("loadedmetadata", () => done());
})"""


@contextmanager
def run_chromium_with_camera(browser: Browser, picture: Path) -> Iterator[Browser]:
    """Run a Chromium whose simulated camera shows a picture."""
    clip = picture.with_suffix(".y4m")
    Image.open(picture).convert("RGB").resize((420, 420)).save(picture)
    pad = "pad=640:480:(ow-iw)/2:(oh-ih)/2:white,format=yuv420p"
    program = shutil.which("ffmpeg")
    if program is None:
        pytest.skip("needs Debian's ffmpeg")
    input_options = [program, "-v", "error", "-loop", "1", "-i", str(picture)]
    subprocess.run([*input_options, "-vf", pad, "-t", "1", "-r", "10", str(clip)], check=True)
    camera_browser = browser.browser_type.launch(
        executable_path=chromium_program(),
        args=[
            "--no-sandbox",
            "--use-fake-ui-for-media-stream",
            "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-video-capture={clip}",
        ],
    )
    try:
        yield camera_browser
    finally:
        camera_browser.close()


def test_camera_reads_a_code_and_without_script_no_camera_is_offered(
    browser: Browser, tmp_path: Path
) -> None:
    with (
        run_relay(tmp_path) as relay,
        run_app(tmp_path / "phone") as at_phone,
        open_page(browser, at_phone.link, script=False) as without_script,
    ):
        _check_file_field_and_no_camera_button(without_script)
        with create_device_without_browser(tmp_path / "old", "Ana", relay.url):
            pass
        with open_app(browser, tmp_path / "old") as old:
            unlock_app(old)
            code = _save_code_picture(old, tmp_path / "code.png")
            with (
                run_chromium_with_camera(browser, code) as camera_browser,
                open_page(camera_browser, at_phone.address, after=without_script) as phone,
            ):
                _read_code_by_camera(phone)


def _check_file_field_and_no_camera_button(page: Page) -> None:
    page.get_by_role("link", name="Set up this device").click()
    page.get_by_role("link", name="This is another device of mine").click()
    page.get_by_label("Photo of the code").wait_for()
    assert page.get_by_role("button", name="Use the camera").count() == 0
    page.get_by_role("button", name="Go on").click()
    page.get_by_role("alert").wait_for()


def _read_code_by_camera(phone: Page) -> None:
    phone.get_by_role("link", name="Set up this device").click()
    phone.get_by_role("link", name="This is another device of mine").click()
    phone.get_by_role("button", name="Use the camera").click()
    phone.get_by_role("button", name="Take the picture").wait_for()
    # page.wait_for_function would use eval in the page, which the page's policy forbids.
    phone.locator("video").evaluate(_WAIT_FOR_FIRST_FRAME)
    assert_no_violations(phone)
    phone.get_by_role("button", name="Take the picture").click()
    phone.get_by_role("heading", name="Lock this device").wait_for()
    assert_no_violations(phone)


def _save_code_picture(page: Page, path: Path) -> Path:
    page.get_by_role("link", name="Your devices").click()
    page.get_by_role("button", name="Link another device").click()
    page.get_by_role("heading", name="Show this to your other device").wait_for()
    source = page.get_by_role("img", name="The code as a QR code").get_attribute("src")
    address = page.url.split("/61")[0]
    path.write_bytes(page.request.get(f"{address}{source}").body())
    return path
