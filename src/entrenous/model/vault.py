"""What can go wrong with the device's encrypted store."""

from entrenous.model.errors import NotFound, Refused
from entrenous.model.message import OfflineDevice


class WrongPassphrase(Refused):
    """
    That passphrase does not open this device's vault. Nothing was changed. Try again, and mind Caps
    Lock and the keyboard's language.
    """


class NoVaultHere(NotFound):
    """
    There is no Entrenous device in {home} yet. Make one: entrenous setup --name YOU --relay URL,
    or without a relay: entrenous setup --name YOU --offline
    """


class VaultExists(Refused):
    """
    There is already a device in {home}, and it was left as it is. For another one, choose another
    folder: ENTRENOUS_HOME=DIR entrenous setup --name YOU --relay URL
    """


class NobodysDevice(OfflineDevice):
    """
    Setting up this device was cut short before it was anybody's, so it holds nothing and does
    nothing. Set it up in another folder, as a further device of yours: ENTRENOUS_HOME=DIR entrenous
    setup --link -, or as your first one: ENTRENOUS_HOME=DIR entrenous setup --name YOU --relay URL
    """


class VaultBusy(Refused):
    """
    Another Entrenous command is using this device's vault. Wait for it to end, then try again. One
    that waits for letters, inbox --wait, uses it all the while; Ctrl-C ends it.
    """


class WeakPassphrase(Refused):
    """A passphrase needs at least {least} characters; four or five unrelated words are easy to
    remember and hard to guess.
    """


class NoPassphrase(Refused):
    """
    A passphrase is needed and there is no terminal to ask for it. Give it by {how}.
    """


class NoSuchDescriptor(NoPassphrase):
    """
    No passphrase can be read from file descriptor {number}, which was given by {how}: nothing that
    can be read is open there. In a shell: {number}< FILE opens it.
    """


class PassphrasesDiffer(Refused):
    """
    The two passphrases are not the same, so nothing was set up. Try again.
    """
