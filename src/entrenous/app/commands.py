"""``entrenous app``: serve the person's pages on this machine, and open them in the browser."""

from typing import Annotated

import typer

from entrenous.app.login import Login
from entrenous.app.menu import add_to_menu, remove_from_menu
from entrenous.app.server import make_browser_app
from entrenous.base.language import translated
from entrenous.serving.http_server import listening_socket, serve_on
from entrenous.serving.private_pages import open_browser
from entrenous.terminal.output import hint, print_json, print_line
from entrenous.terminal.session import session_of
from entrenous.terminal.typed_input import parse_host_and_port

_LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1"})


def add_commands(app: typer.Typer) -> None:
    app.command("app")(open_app)


def open_app(
    context: typer.Context,
    browser: Annotated[
        bool,
        typer.Option("--browser/--no-browser", help="Open the browser, or only print the link."),
    ] = True,
    listen: Annotated[
        str,
        typer.Option(metavar="HOST:PORT", help="The address to serve at, on this machine only."),
    ] = "127.0.0.1:0",
    to_menu: Annotated[
        bool, typer.Option("--add-to-menu", help="Add the app to this desktop's menu, and end.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="With --add-to-menu: use a name that reveals nothing.")
    ] = False,
    from_menu: Annotated[
        bool, typer.Option("--remove-from-menu", help="Remove the app from the menu, and end.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Open the app in the browser, to do everything without a terminal.

    The app runs until you press Ctrl-C. Its link works once, in one browser.
    """
    if to_menu or from_menu:
        _change_menu(add=to_menu, neutral_name=quiet)
        return
    settings = session_of(context).settings
    host, port = parse_host_and_port(listen)
    if host not in _LOOPBACK_HOSTS:
        raise typer.BadParameter(
            translated("--listen takes 127.0.0.1 or [::1]: your pages are for you alone")
        )
    login = Login()

    def print_and_open_link(url: str) -> None:
        link = f"{url}/enter/{login.link}"
        if as_json:
            print_json({"schema": "entrenous/app/1", "url": link})
            return
        opened = browser and open_browser(link)
        text = translated("Open this in your browser: {link}")
        if opened:
            text = translated("Your browser opens: {link}")
        print_line(text.format(link=link))
        hint(translated("The link works once. Stop with Ctrl-C."))

    with listening_socket(host, port) as listening:
        serve_on(listening, make_browser_app(settings, login, listening), print_and_open_link)


def _change_menu(*, add: bool, neutral_name: bool) -> None:
    if add:
        print_line(
            translated("It is in your menu now: {path}").format(
                path=add_to_menu(neutral_name=neutral_name)
            )
        )
        print_line(translated("To take it out again: entrenous app --remove-from-menu"))
    elif remove_from_menu():
        print_line(translated("It is not in your menu any more."))
    else:
        print_line(translated("It was not in your menu."))
