"""The exceptions that are a line for the user, and text that fits on a line."""

import errno
import re
from collections.abc import Collection
from pathlib import Path


class UsageError(ValueError):
    """Bad input: its text is one line that names the key, the value, the choices and what to do.

    The command line prints that line and exits with code 2. What would break the line is escaped: a value
    that the message repeats may hold anything.
    """

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


def one_line(text: str) -> str:
    """The text without line breaks; what a terminal would not print as it is, is escaped: `\\x1b`."""
    return printable(re.sub(r"\s*[\r\n]\s*", " ", text.strip()))


def printable(text: str, keep: str = "") -> str:
    """The text; what a terminal or a page would not show as it is, is escaped, unless it is in `keep`."""
    return "".join(sign if sign.isprintable() or sign in keep else _escaped(sign) for sign in text)


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


class Damaged(UsageError):
    """A file of ours that cannot be believed: its text is one line with the path and what is wrong there."""


def with_remedy(error: Damaged, remedy: str) -> Damaged:
    """The same with what to do. What only may not be read is not damaged: removing it would lose it."""
    return Damaged(f"{error}; {'allow it' if not_allowed(error.__cause__) else remedy}")


class StorageError(OSError):
    """A file that cannot be written: its text is one line with the path, the reason and what to do.

    Not a result: the run is not over, and the same command continues it. The command line prints that line
    and exits with code 1.
    """

    def __init__(self, path: Path, error: OSError) -> None:
        reason = error.strerror or str(error) or type(error).__name__
        line = f"{path}: cannot be written ({reason}); {_remedy(error)}the same command continues"
        super().__init__(one_line(line))


def not_allowed(error: BaseException | None) -> bool:
    """Does the system refuse it because of rights, or of a file system that is only read?"""
    return isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)


def _remedy(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "make room; "
    if not_allowed(error):
        return "allow it; "
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return "its directory is gone; "
    return ""
