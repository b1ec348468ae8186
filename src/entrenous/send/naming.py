"""What people, circles and devices may be called here: names that can be typed."""

from entrenous.craft.wire.text import is_name
from entrenous.model.person import BadName


def refuse_bad_name(name: str) -> None:
    """Raise BadName unless this is a name (docs/spec/README.md) that no command takes for an option
    of its own, as one does that begins with a dash.
    """
    if not is_name(name) or name.startswith("-"):
        raise BadName
