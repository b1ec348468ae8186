"""``entrenous relay run``."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated, Any

import typer

from entrenous.base.environment import AddressTaken
from entrenous.carry.commands.settings_file import DataFolder, SettingsFile, settings_of
from entrenous.carry.open_relay import (
    open_relay,
    record_database_note,
    refuse_folder_of_other_database,
)
from entrenous.carry.relay import Relay
from entrenous.carry.relay_settings import MetricsAddressTaken, RelaySettings, long_poll_limits
from entrenous.serving.connection_limits import raise_file_limit_for_connections
from entrenous.serving.http_server import SecondApp, ServeOptions, serve
from entrenous.serving.server_process import start_log
from entrenous.serving.tls import TlsCertificate
from entrenous.terminal.output import print_json, print_line
from entrenous.terminal.session import FeatureFunctions, session_of
from entrenous.terminal.typed_input import parse_host_and_port


def add_commands(relay: typer.Typer) -> None:
    relay.command("run")(run)


def run(
    context: typer.Context,
    settings: SettingsFile = None,
    data: DataFolder = None,
    listen: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="127.0.0.1:7801; port 0 takes a free one."),
    ] = None,
    other_database: Annotated[
        bool,
        typer.Option(
            "--other-database",
            help="Serve a different database on purpose; the mailboxes of the previous one "
            "are not in it.",
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON when the server is ready.")
    ] = False,
) -> None:
    """Run a relay: it carries encrypted messages and can never read one."""
    relay_settings = settings_of(settings, data, listen)
    host, port = parse_host_and_port(relay_settings.listen)
    certificate = _certificate_from_settings(relay_settings)
    start_log(relay_settings.log, sys.stderr)

    def announce(url: str) -> None:
        if as_json:
            print_json({"schema": "entrenous/relay/1", "url": url})
        else:
            print_line(f"The relay serves at {url}. Stop it with Ctrl-C.")

    if not other_database:
        refuse_folder_of_other_database(relay_settings)
    wakes = long_poll_limits(
        raise_file_limit_for_connections(), behind_proxy=relay_settings.behind_proxy
    )
    limits = replace(relay_settings.limits, wakes=wakes)
    with open_relay(
        relay_settings.data, limits, database=relay_settings.database, blobs=relay_settings.blobs
    ) as relay:
        record_database_note(relay, relay_settings)
        app, second = _build_apps(relay_settings, relay, session_of(context).feature_functions)
        with _name_address_in_use(second):
            serve(app, host, port, announce, _serve_options(certificate, second, relay))


@contextmanager
def _name_address_in_use(second: SecondApp | None) -> Iterator[None]:
    """Report which of two addresses is in use, since --listen names only one of them.

    Raises:
        AddressTaken, MetricsAddressTaken.
    """
    try:
        yield
    except AddressTaken as taken:
        listen = taken.facts["listen"]
        if second is not None and listen == f"{second.host}:{second.port}":
            raise MetricsAddressTaken(listen=listen) from None
        raise


def _serve_options(
    certificate: TlsCertificate | None, second: SecondApp | None, relay: Relay
) -> ServeOptions:
    """Return options for serving.

    With these, the server ends requests that are waiting for a letter: all of them when it stops,
    and one at a time when it needs their connections for other requests.
    """
    if relay.wake_ups is None:
        return ServeOptions(certificate, second)
    return ServeOptions(certificate, second, relay.wake_ups.stop_waiting, relay.wake_ups.make_room)


def _certificate_from_settings(relay_settings: RelaySettings) -> TlsCertificate | None:
    if relay_settings.tls_cert is None or relay_settings.tls_key is None:
        return None
    return TlsCertificate(relay_settings.tls_cert, relay_settings.tls_key)


def _build_apps(
    relay_settings: RelaySettings, relay: Relay, feature_functions: FeatureFunctions
) -> tuple[Any, SecondApp | None]:
    """Return the relay's application, and the one that serves its metrics if they are wanted."""
    if relay_settings.metrics_listen is None:
        return feature_functions["relay"](relay), None
    app, metrics = feature_functions["metered relay"](relay)
    return app, SecondApp(metrics, *parse_host_and_port(relay_settings.metrics_listen))
