"""What keeps a sheet from shutting its device by itself (docs/spec/devices.md section 4)."""

from entrenous.model.errors import NotFound, Refused, Unproven, Unreachable


class NoDeviceToRevokeOn(NotFound):
    """
    There is no Entrenous device in {home}, and only another device of yours can look {name} up. So
    nothing was changed. If that was your only one, its recovery sheet shuts it from any machine:
    entrenous device revoke --lost --recovery FILE. That shuts the device which the sheet was
    written on, whatever it is called.
    """


class SheetOfThisDevice(Refused):
    """
    This recovery sheet was written on the device in {home}, which is here and not lost. So nothing
    was changed. To shut it all the same, for good and with every copy of its folder, keep what is
    in it first: entrenous archive export --out DIR, then shut it from an empty folder:
    ENTRENOUS_HOME=DIR entrenous device revoke --lost --recovery FILE
    """


class SheetShutsNothing(Unproven):
    """
    The relay does not take what this recovery sheet shuts a device with, so the lost device is not
    shut. That was replaced since: when another device of yours was revoked as lost. Try the newest
    sheet that was written on the lost device, or, on another device of yours: entrenous device
    revoke NAME --lost
    """


class UnknownToRelay(NotFound):
    """
    The relay that this recovery sheet names does not know the device which the sheet was written
    on, so nothing was shut now. If that device was revoked more than 30 days ago, it is shut. Else
    the relay's operator may have started it with another database, or restored a backup that is
    older than the device: tell the operator, and type the same command again later.
    """


class TokenOfBefore(Unproven):
    """
    {name} is NOT shut: your relay does not take what this device knows to shut it with. That was
    replaced, and {name} had no time to tell. Another device of yours may know the newest one, and
    shuts it as soon as it hears. On each of them, now: entrenous inbox. The newest recovery sheet
    that was written on {name} shuts it too: entrenous device revoke --lost --recovery FILE
    """


class NotShutYet(Unreachable):
    """
    The lost device is not shut yet. {why} Nothing here does it later by itself: type the same
    command again until it says that the device is shut, on this machine or any other.
    """
