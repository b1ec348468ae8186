"""Whose connection is it? An address that stands in a browser's arguments is read by everybody who
uses the machine; only the user who opened the message may follow it.
"""

import os
from pathlib import Path
from typing import Final

_TABLES: Final = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_LOCAL, _REMOTE, _USER = 1, 2, 7  # Linux, Documentation/networking/proc_net_tcp.rst


def is_our_user(client_port: int, server_port: int) -> bool:
    """Whether the user of this process holds the other end of a connection on the loopback; where
    the system does not tell, True.
    """
    told = False
    for table in _TABLES:
        try:
            lines = table.read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        told = True
        for line in lines:
            fields = line.split()
            ports = tuple(int(fields[at].rpartition(":")[2], 16) for at in (_LOCAL, _REMOTE))
            if ports == (client_port, server_port):
                return int(fields[_USER]) == os.getuid()
    return not told
