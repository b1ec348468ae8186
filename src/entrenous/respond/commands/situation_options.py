"""Options that say what happened: the same words for a case and for ``entrenous law routes``.

Nothing here opens a vault, so a command that needs none starts quickly.
"""

from typing import Annotated

import typer

from entrenous.respond.nouns import RepresentativeRole

PlacesOption = Annotated[
    list[str] | None,
    typer.Option(metavar="PLACE", help="Where you live: Germany, DE, Ontario."),
]
IntimateOption = Annotated[
    bool | None, typer.Option("--intimate/--not-intimate", help="What kind of picture it is.")
]
AlteredOption = Annotated[
    bool | None, typer.Option("--altered/--not-altered", help="Software made or changed it.")
]
TakenByMeOption = Annotated[
    bool | None, typer.Option("--taken-by-me/--taken-by-somebody-else", help="Who took it.")
]
HideMyNameOption = Annotated[
    bool, typer.Option("--hide-my-name", help="The uploader must not learn your name.")
]
Under18Option = Annotated[
    bool, typer.Option("--under-18", help="Somebody was, or may have been, under 18.")
]
ForSomebodyElseOption = Annotated[
    RepresentativeRole | None,
    typer.Option(
        "--for-somebody-else", help="You act for the person shown; say what you are to them."
    ),
]
PlatformInOption = Annotated[
    str,
    typer.Option(
        "--platform-in", metavar="PLACE", help="The place where the platform's company is based."
    ),
]
ShowsMeOption = Annotated[
    bool | None,
    typer.Option("--shows-me/--shows-somebody-else", help="Whether the picture shows you."),
]
SenderKnownOption = Annotated[
    bool | None,
    typer.Option("--sender-known/--sender-unknown", help="Whether you know who passed it on."),
]
