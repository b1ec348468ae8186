"""Walk through the pages by the names of routes, whatever text the pages show."""

import json
import re
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from playwright.sync_api import Error as PageError
from playwright.sync_api import Locator, Page
from starlette.routing import Match, Route, Router

from entrenous.app import server

#: Returns, for each form, the action, and whether it is a POST form with all wanted elements.
_MATCH_FORMS = """(forms, has) => forms.map((form) => [form.action,
  form.method === "post" && has.every((one) => form.querySelector(one))])"""
#: Returns the targets of links and images as base64, because arrays of numbers take much longer.
_FETCH_TARGETS = """(all) => Promise.all(all.map(async (one) => {
  const reader = new FileReader(), done = new Promise((loaded) => { reader.onload = loaded; });
  reader.readAsDataURL(await (await fetch(one.href || one.src)).blob());
  await done;
  return reader.result.split(",")[1] || "";
}))"""
#: Presses a button, unless the page has replaced it meanwhile; returns whether it was pressed.
_PRESS_BUTTON = """(button) => {
  const isThere = button.isConnected;
  if (isThere) button.click();
  return isThere;
}"""
_URL_PATH = re.compile(r"https?://[^/]+(/[^?#]*)")


@cache
def page_routes() -> tuple[Route, ...]:
    """Return all routes of the app's server."""
    return tuple(server.all_routes())


def get_paths_by_route() -> dict[str, str]:
    """Return the path pattern of each GET route, by the route's name."""
    return {
        route.name: route.path for route in page_routes() if "GET" in (route.methods or {"GET"})
    }


def route_of(address: str, method: str = "GET") -> str:
    """Return the name of the route that answers at ``address``, or "".

    If that route only accepts forms, return the name of a GET route with the same path, if any.
    """
    found = _URL_PATH.match(address)
    scope = {
        "type": "http",
        "method": method,
        "path": found[1] if found else address,
        "headers": [],
    }
    for route in page_routes():
        if route.matches(scope)[0] is Match.FULL:
            return _page_route_name(route)
    return ""


def _page_route_name(route: Route) -> str:
    """Return the name of a route, or of the GET route with the same path if there is one."""
    if "GET" in (route.methods or ()):
        return route.name
    return next(
        (one.name for one in page_routes() if one.path == route.path and "GET" in one.methods),
        route.name,
    )


@dataclass
class RouteWalker:
    """A browser page, with methods that follow links and post forms."""

    page: Page
    address: str
    relay: str = ""
    _router: Router = field(default_factory=lambda: Router(page_routes()))

    def go(self, route: str) -> None:
        """Open the page of a route that has no path parameters."""
        self._open(self.address + self._router.url_path_for(route))

    def _open(self, address: str) -> None:
        """Open an address, even if the current page reloads itself at that moment."""
        try:
            self.page.goto(address)
        except PageError as why:
            if "interrupted by another navigation" not in why.message:
                raise
            self.page.wait_for_load_state()
            self.page.goto(address)

    def follow(self, route: str, index: int = 0) -> None:
        """Open the target of the link with this index among the links to this route."""
        links = self.page.locator("a[href]").evaluate_all("links => links.map(link => link.href)")
        there = [link for link in links if route_of(link) == route]
        assert there[index:], (route, self.page.url, links)
        self._open(there[index])

    def send(
        self, route: str, /, press: str = "", files: dict[str, Path] | None = None, **fields: str
    ) -> None:
        """Fill in the form that is posted to this route, and post it.

        ``press`` is the value of the button; without it, the form's first button is pressed.
        """
        with self.page.expect_navigation():
            while not self._try_to_post(route, press, files or {}, fields):
                pass

    def _try_to_post(
        self, route: str, press: str, files: dict[str, Path], fields: dict[str, str]
    ) -> bool:
        """Fill in the form and press the button; return False if the page replaced the form."""
        form = self.form(route, press, *fields, *files)
        for field_name, value in fields.items():
            _fill(form, field_name, value)
        for field_name, file in files.items():
            form.locator(f"input[type=file][name={field_name}]").set_input_files(file)
        button = f"button[value={css_string(press)}]" if press else "button:not([type=button])"
        is_pressed: bool = form.locator(button).first.evaluate(_PRESS_BUTTON)
        return is_pressed

    def form(self, route: str, press: str = "", *field_names: str) -> Locator:
        """Return the form that is posted to this route and has these fields and this button."""
        required = [f"[name={css_string(one)}]" for one in field_names]
        required += [f"button[value={css_string(press)}]"] if press else []
        forms = self.page.locator("form")
        for number, (at, is_match) in enumerate(forms.evaluate_all(_MATCH_FORMS, required)):
            if is_match and route_of(at, "POST") == route:
                return forms.nth(number)
        raise AssertionError((route, press, field_names, self.page.url))

    def wait_for(self, route: str) -> None:
        """Wait until the page of this route is shown and has loaded."""
        self.page.wait_for_url(lambda url: route_of(url) == route)
        self.page.wait_for_load_state()


def fetch_targets(page: Page, selector: str) -> list[bytes]:
    """Let the page fetch the targets of the selected links or images, and return their bytes."""
    found: list[str] = page.locator(selector).evaluate_all(_FETCH_TARGETS)
    return [b64decode(one) for one in found]


def css_string(text: str) -> str:
    """Return the text as a string in a CSS selector."""
    return json.dumps(text, ensure_ascii=False)


def _fill(form: Locator, field_name: str, value: str) -> None:
    found = form.locator(f"[name={css_string(field_name)}]")
    kind = found.first.evaluate("it => it.type")
    if kind in {"radio", "checkbox"}:
        form.locator(f"[name={css_string(field_name)}][value={css_string(value)}]").first.check()
    elif kind.startswith("select"):
        found.first.select_option(value)
    else:
        found.first.fill(value)


def visit_states(states: Iterator[str], walker: RouteWalker) -> Iterator[tuple[str, str]]:
    """For each state, wait until its page has loaded; yield the state and the page's route name."""
    for state in states:
        walker.page.wait_for_load_state()
        yield state, route_of(walker.page.url) or route_of(walker.page.url, "POST")
