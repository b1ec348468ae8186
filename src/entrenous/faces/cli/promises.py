"""What holds by cryptography and what by a program, in the words of the screens that promise it."""

from typing import Final

#: To who sends, and looks at what was sent.
OF_COPIES: Final = (
    "Until a copy is first opened, taking it back and its end hold by cryptography; after that, by "
    "the program of whoever opened it."
)
#: To who receives.
OF_MESSAGES: Final = (
    "Until you first open a message, its sender's taking it back and its end hold by cryptography; "
    "after that, by your program."
)
