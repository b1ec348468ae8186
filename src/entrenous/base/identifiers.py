"""The types of identifiers, and message names that people can say, such as ``7-lunar-otter``."""

from collections.abc import Container
from typing import Final, NewType

NAME_ADJECTIVES: Final = tuple(
    """
    amber autumn azure bold brave breezy bright brisk calm cedar cheery chilly civil clear
    clever cloudy cobalt copper coral cosy crisp curly daily dainty dapper dawn deep dewy
    distant dreamy dusky eager early easy ebony elder fair fancy feathery fern fine fleet floral
    fond fresh frosty gentle ginger glad gleaming golden grand green happy hardy hazel hearty
    hidden honest humble icy indigo ivory jade jolly jovial kind lavender leafy light lilac
    lively lofty loyal lucky lunar maple marble mellow merry mild minty misty mossy neat nimble
    noble olive opal open orange patient peach pearl placid plain pleasant plum polar polite
    proud quick quiet rapid rosy round ruby rustic sable sandy scarlet serene shady sharp silent
    silver sleepy smooth snowy soft solar spring steady still summer sunny swift tall tawny teal
    tidy tranquil
    """.split()
)
NAME_NOUNS: Final = tuple(
    """
    acorn alder anchor apple aspen badger barley beacon beaver birch bluebell bramble breeze
    brook canary canoe cherry chestnut clover comet cove crane cricket crocus curlew cypress
    daisy dolphin dove dune eagle egret elm ember falcon fern field finch firefly fjord flute
    forest fox garden glade goose grove gull harbour hare harp hawk hazelnut heather hedgehog
    heron hill ibis iris island ivy jasmine kestrel kite lagoon lake lantern lark laurel lemon
    lichen lily linden lizard lotus lynx magpie mango maple marmot marten meadow mint mole moon
    moth mountain myrtle nectar newt nutmeg oak oasis orchard orchid osprey otter owl panda
    pebble pelican pepper pine plover pond poppy puffin quail quince rabbit raven reed river
    robin rose saffron sage salmon sapling seal sparrow spruce squirrel starling stork stream
    swallow swan thistle thrush tulip violet willow wren
    """.split()
)
# the name that people type for a message, e.g. "7-lunar-otter"
MessageName = NewType("MessageName", str)


def generate_message_name(randomness: bytes, taken: Container[str]) -> MessageName:
    """Return a message name that is not in ``taken``; ``randomness`` has at least 3 bytes.

    The first two bytes choose the words. The number is 1 + the third byte modulo 9, or the next
    higher one that makes the name new.
    """
    first = NAME_ADJECTIVES[randomness[0] % len(NAME_ADJECTIVES)]
    second = NAME_NOUNS[randomness[1] % len(NAME_NOUNS)]
    number = 1 + randomness[2] % 9
    while f"{number}-{first}-{second}" in taken:
        number += 1
    return MessageName(f"{number}-{first}-{second}")


def name_index_key(name: str, whose: str) -> str:
    """Return the key under which a name is indexed.

    The keys of names that differ only in their number are adjacent.
    """
    return f"{name_index_prefix(name)}{name.partition('-')[0]} {whose}"


def name_index_prefix(name: str) -> str:
    """Return the beginning of the index keys of all names that differ only in their number."""
    return f"{name.partition('-')[2]} "


def name_from_index_key(key: str) -> MessageName:
    words, number = key.split(" ")[:2]
    return MessageName(f"{number}-{words}")


PersonId = NewType("PersonId", bytes)  # SHA-256 of both master keys, 32 bytes
DeviceId = NewType("DeviceId", bytes)  # random, 16 bytes
MessageId = NewType("MessageId", bytes)  # random, 16 bytes
# random, 16 bytes; chosen by the sender, so that a post can be repeated
EnvelopeId = NewType("EnvelopeId", bytes)
BlobId = NewType("BlobId", bytes)  # random, 16 bytes
MailboxId = NewType("MailboxId", bytes)  # random, 16 bytes
# the sender's name for the recipient of a copy, e.g. "ben"
RecipientId = NewType("RecipientId", str)
# the name that people type for a case, e.g. "case-3-quiet-heron"
CaseName = NewType("CaseName", str)
ClaimId = NewType("ClaimId", str)
BankName = NewType("BankName", str)
ID_BYTES: Final = 16
