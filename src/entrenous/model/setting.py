"""What can be wrong with how Entrenous is set up on this machine."""

from dataclasses import dataclass

from entrenous.model.errors import Refused, Unreachable


@dataclass(frozen=True, slots=True)
class Proxy:
    """A SOCKS5 proxy that is asked for names, as Tor is."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class BadSetting(Refused):
    """
    The setting {name} should be {wanted}. Nothing was done. Correct it, or leave it out.
    """


class AddressTaken(Unreachable):
    """
    Nothing can be served at {listen}: another program uses this address, it is not one of this
    machine's, or this account may not use it. Choose another one: --listen 127.0.0.1:0 takes a free
    port.
    """


class UnusableFolder(Refused):
    """
    Nothing can be kept in {path}: a file is in the way, or its permissions do not allow it. Nothing
    was changed. Choose a folder of your own, or give this as the account that it belongs to.
    """


class ReadOnlyDisk(Unreachable):
    """
    The disk with {path} can only be read at the moment, so nothing could be kept there. What is in
    it was left as it is, and nothing was lost. Some systems do that after an error of the disk, and
    some cards have a switch for it. Make it writable again, then try again.
    """
