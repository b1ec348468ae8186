"""What can stop the demonstration."""

from entrenous.model.errors import NotFound, Refused, Unreachable


class PhotoMissing(NotFound):
    """
    The demonstration's photo comes with scikit-image, which is not installed here. Use your own:
    entrenous demo --photo PATH, or run: make demo
    """


class NotAsItShouldBe(Unreachable):
    """
    Step {step} of the demonstration did not end as it should: {what}. Nothing of yours is affected.
    """


class DidNotStart(Unreachable):
    """
    The {what} of the demonstration did not start: {why}
    """


class NotOurs(Refused):
    """
    {path} holds files, and no demonstration made it, so nothing in it was touched. Choose another
    folder: entrenous demo --out DIR
    """
