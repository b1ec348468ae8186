"""Files of a device's vault that do not come out of it any more."""

from entrenous.model.letter import DoesNotOpen
from entrenous.model.relay_problem import NoSuchBlob


class KeptFileGone(NoSuchBlob):
    """
    A file that this device kept is not in its folder any more, so that could not be done; nothing
    was changed. If you have a backup of your Entrenous folder, copy from its folder "files" what is
    missing in yours, and try again.
    """


class KeptFileDamaged(DoesNotOpen):
    """
    A file that this device kept is damaged, so that could not be done; nothing was changed. If you
    have a backup of your Entrenous folder, copy from its folder "files" what differs in yours, and
    try again.
    """
