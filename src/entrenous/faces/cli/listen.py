"""``--listen HOST:PORT``."""

import typer


def host_and_port(listen: str) -> tuple[str, int]:
    """Host and port of "127.0.0.1:0" or "[::1]:0"; a usage error otherwise."""
    host, colon, port = listen.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise typer.BadParameter("give HOST:PORT, e.g. 127.0.0.1:7801", param_hint="--listen")
    return host.strip("[]"), int(port)
