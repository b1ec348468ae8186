"""What else to do when a device was lost: nothing that a program can do by itself."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class ToDo:
    """One thing to do, and why."""

    what: str
    why: str


_ANY: Final = (
    ToDo(
        "Change the passphrase wherever else you use it.",
        "Once the lost device is shut it opens nothing there any more, unless you had allowed that "
        "device to open without its relay; somewhere else it still may.",
    ),
    ToDo(
        "Have the SIM card locked by your provider.",
        "Who has it gets the codes that other accounts send you by text message.",
    ),
    ToDo(
        "Sign the device out of your other accounts, mail first.",
        "Mail resets the passwords of nearly everything else.",
    ),
    ToDo(
        "Use the maker's way to find, lock or wipe the device.",
        "It may hold what other programs kept, and what you exported yourself.",
    ),
    ToDo(
        "Report it to the police, and keep the number of the report.",
        "Insurers and platforms ask for it.",
    ),
)
LOST: Final = (
    *_ANY,
    ToDo(
        "Ask people to send again what only that device had received.",
        "What waited for it at the relay is gone: entrenous sent, on their side, shows it.",
    ),
    ToDo(
        "If it was open when it was taken, tell the people you write to.",
        "What it showed can have been copied. If a picture turns up: entrenous case open",
    ),
    ToDo(
        "If you had written a recovery sheet, write a new one and destroy the one before.",
        "What it could shut this device with has changed: entrenous device recovery --out FILE "
        "--recovery OLD",
    ),
)
#: When it was shut by its recovery sheet alone: nobody was told, and there may be no device left.
LOST_ALONE: Final = (
    ToDo(
        "Tell the people you write to, by another way, and ask them to remove your keys: entrenous "
        "person forget YOU, on their side.",
        "Their programs still take the lost device for yours: if somebody opened it before it was "
        "shut, what is written there comes to them in your name until they do.",
    ),
    *_ANY,
    ToDo(
        "If you have another device, take the lost one off your list there: entrenous device "
        "revoke NAME --lost --recovery FILE",
        "Then people are told after all, and nobody has to remove your keys.",
    ),
    ToDo(
        "If you have none, begin anew, in an empty folder: entrenous setup --name YOU --relay URL, "
        "then give people new links: entrenous invite",
        "You have new keys then, so people add you again; what they send to the ones before is "
        "refused. An archive that you had made is taken in by: entrenous archive import DIR",
    ),
    ToDo(
        "Ask people to send again what only that device had received.",
        "What waited for it at the relay is gone: entrenous sent, on their side, shows it.",
    ),
    ToDo(
        "Destroy the recovery sheet once all of this is done.",
        "Whoever has it can still sign in your name, and with a copy of the lost device's folder "
        "guess its passphrase as fast as a computer can.",
    ),
)
