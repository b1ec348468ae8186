"""Which addresses lead to this machine only: there, and nowhere else, plain HTTP is private."""

import ipaddress


def is_this_machine(host: str) -> bool:
    """Whether a URL's host, without brackets, is this machine: by number, or as "localhost".

    RFC 6761 section 6.3; any other name may lead anywhere. Narrow, because it *allows* plain HTTP;
    craft/wire/text.py's ``is_on_this_machine`` is wide, because what it finds is refused.
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
