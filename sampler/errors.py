"""The one error that says: the caller can mend this."""


class PlannerError(ValueError):
    """Something from outside that cannot be used; the one-line message says what, where and how to mend it.

    The command line prints it as one line and exits with 2; everything else is a defect and keeps its traceback.
    """

    def __init__(self, message: object = "") -> None:
        # What a file holds may be part of it, and words of other libraries: a line is kept whatever those have in them.
        super().__init__(printable(" ".join(str(message).splitlines())))


def printable(text: str) -> str:
    r"""A text as any terminal may be given it: control characters and bytes that are no UTF-8 are escaped.

    >>> print(printable("caf\udce9 \x1b[31m.png"))
    caf\udce9 \x1b[31m.png
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


# One family, whichever package notices the mistake: what catches one name catches the other.
InputError = PlannerError
