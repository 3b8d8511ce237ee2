"""The one exception that means "the user can mend this"."""

from collections.abc import Collection


class UsageError(ValueError):
    """Bad input: its text is one line that names the key, the value, the choices and what to do.

    The command line prints that line and exits with code 2.
    """


def check_choice(key: str, value: object, choices: Collection[object]) -> None:
    """Raises `UsageError` naming the key and its choices where `value` is none of them."""
    if value not in choices:
        raise UsageError(f"{key}={value}: choices: {', '.join(map(str, choices))}")
