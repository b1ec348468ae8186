"""How it is said that somebody's keys changed: what, when, and what it can mean."""

from entrenous.model.changed import Changed


def words_for(changed: Changed) -> str:
    """A notice of one change, in a few sentences."""
    at = changed.at.strftime("%d %B %Y, %H:%M UTC")
    parts = [_devices(changed.came, "new"), _devices(changed.went, "gone")]
    what = " and ".join(part for part in parts if part)
    said = f"{changed.name}'s devices changed on {at}: {what}." if what else ""
    if changed.in_doubt:
        said += f" Seen on {at}: {changed.name}'s keys do not count as compared any more."
    return (
        f"{said.strip()} A new phone does this; so does somebody who took over their keys. If you "
        f"did not expect it, ask {changed.name} in another way, and compare: "
        f"entrenous person verify {changed.name}"
    )


def _devices(count: int, what: str) -> str:
    if not count:
        return ""
    return f"1 is {what}" if count == 1 else f"{count} are {what}"
