"""Sixty-four signs that two people can compare by looks or by voice.

The table of the Matrix specification v1.15, client-server API, "SAS method: emoji" (Apache-2.0).
"""

from typing import Final, NamedTuple


class Sign(NamedTuple):
    """An emoji, and what it is called in English."""

    emoji: str
    name: str


SIGNS: Final = tuple(
    Sign(*line.split(maxsplit=1))
    for line in """
    🐶 dog
    🐱 cat
    🦁 lion
    🐎 horse
    🦄 unicorn
    🐷 pig
    🐘 elephant
    🐰 rabbit
    🐼 panda
    🐓 rooster
    🐧 penguin
    🐢 turtle
    🐟 fish
    🐙 octopus
    🦋 butterfly
    🌷 flower
    🌳 tree
    🌵 cactus
    🍄 mushroom
    🌏 globe
    🌙 moon
    ☁️ cloud
    🔥 fire
    🍌 banana
    🍎 apple
    🍓 strawberry
    🌽 corn
    🍕 pizza
    🎂 cake
    ❤️ heart
    😀 smiley
    🤖 robot
    🎩 hat
    👓 glasses
    🔧 spanner
    🎅 santa
    👍 thumbs up
    ☂️ umbrella
    ⌛ hourglass
    ⏰ clock
    🎁 gift
    💡 light bulb
    📕 book
    ✏️ pencil
    📎 paperclip
    ✂️ scissors
    🔒 lock
    🔑 key
    🔨 hammer
    ☎️ telephone
    🏁 flag
    🚂 train
    🚲 bicycle
    ✈️ aeroplane
    🚀 rocket
    🏆 trophy
    ⚽ ball
    🎸 guitar
    🎺 trumpet
    🔔 bell
    ⚓ anchor
    🎧 headphones
    📁 folder
    📌 pin
    """.strip().splitlines()
)
