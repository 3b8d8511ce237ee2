"""The one exception that means "the user can fix this", and text that fits on a line."""

import re
from collections.abc import Collection


class UsageError(ValueError):
    """Bad input: its text is one line that names the key, the value, the choices and what to do.

    The command line prints that line and exits with code 2. What would break the line is escaped: a value
    that the message repeats may hold anything.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


def one_line(text: str) -> str:
    """The text without line breaks; what a terminal would not print as it is, is escaped: `\\x1b`."""
    joined = re.sub(r"\s*[\r\n]\s*", " ", text.strip())
    return "".join(sign if sign.isprintable() else _escaped(sign) for sign in joined)


def _escaped(sign: str) -> str:
    return sign.encode("unicode_escape").decode("ascii")


def shortened(text: str, longest: int) -> str:
    """The text with its middle left out where it has more than `longest` characters."""
    if len(text) <= longest:
        return text
    head = 2 * longest // 3
    return f"{text[:head]} … {text[head + 3 - longest :]}"


def check_choice(key: str, value: object, choices: Collection[object]) -> None:
    """Raises `UsageError` naming the key and its choices where `value` is none of them."""
    if value not in choices:
        raise UsageError(f"{key}={shown(value)}: choices: {', '.join(map(str, choices))}")


def shown(value: object) -> str:
    """A value as a message repeats it."""
    return "null" if value is None else shortened(str(value), 80)
