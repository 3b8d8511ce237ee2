"""How a call of the program ends: an exit code, and one line on stderr where something is wrong."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from bnrepro.config.errors import StorageError, UsageError, not_allowed, one_line, shown

FAILED, WRONG_USAGE = 1, 2
CTRL_C = 130
READER_LEFT = 141
"""What a shell shows of a program that SIGPIPE ended."""

ClickException: type[Any] = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")
"""Typer's own base of everything that its parser raises; its module has another name in every version."""


ALLOW = "allow it (ls -ld shows who may what), or name another place"


class ReaderLeft(Exception):
    """Nobody reads stdout or stderr any more, as in `bnrepro sweep … | head -4`."""


class Stopped(Exception):
    """Ctrl-C, with where it stopped."""


class Program(TyperGroup):
    """The commands. What ends one from outside is not for Typer to answer, whose exit codes are others."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise ReaderLeft from error
        except KeyboardInterrupt as error:
            raise Stopped(" ".join(["stopped", *map(str, error.args)])) from error


def run(app: Callable[..., Any], arguments: Sequence[str]) -> int:
    """Call the program; its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # in a locale that has no ×, it is a ?
    try:
        code = _called(app, arguments)
        sys.stdout.flush()
        return code
    except (BrokenPipeError, ReaderLeft):
        pass
    except SystemExit as error:  # Rich's answer, in the middle of a page of help
        if not isinstance(error.__context__, BrokenPipeError):
            raise
    _write_nowhere()
    return READER_LEFT


def _called(app: Callable[..., Any], arguments: Sequence[str]) -> int:
    try:
        _check_text(arguments)
        _check_place()
        code = app(arguments, prog_name="bnrepro", standalone_mode=False)
    except UsageError as error:
        return _say(str(error), WRONG_USAGE)
    except StorageError as error:
        return _say(str(error), WRONG_USAGE if not_allowed(error.__cause__) else FAILED)
    except OSError as error:  # of any file, wherever a command looks
        if not not_allowed(error):
            raise
        return _say(one_line(f"{os.fsdecode(error.filename or '')}: {error.strerror}; {ALLOW}"), WRONG_USAGE)
    except Stopped as error:
        return _say(f"{error}; the same command continues", CTRL_C)
    except ClickException as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            error.show()
            return WRONG_USAGE
        return _say(one_line(_usage(error, arguments)), WRONG_USAGE)
    return code if isinstance(code, int) else 0


def _say(line: str, code: int) -> int:
    typer.echo(f"bnrepro: {line}", err=True)
    return code


def _check_text(arguments: Sequence[str]) -> None:
    """Files of a run are UTF-8 and repeat what was typed."""
    for argument in arguments:
        if any(0xD800 <= ord(sign) <= 0xDFFF for sign in argument):
            raise UsageError(f"{shown(argument)}: is not text in {sys.getfilesystemencoding()}; rename it")


def _check_place() -> None:
    """Whatever is looked for or written lies there, unless its path is absolute; Hydra asks for it anyway."""
    try:
        Path.cwd()
    except FileNotFoundError:
        raise UsageError("the current directory was removed; change to one that is there (cd)") from None


def _usage(error: Any, arguments: Sequence[str]) -> str:
    """A mistake in options or commands, in the form of a mistake in a key: what was typed, and what to do."""
    parameter, context = getattr(error, "param", None), getattr(error, "ctx", None)
    message = str(error.format_message()).rstrip(".")
    if type(error) is typer.BadParameter and parameter is not None:
        wrong = str(error.message).rstrip(".")
        is_option = parameter.param_type_name == "option"
        return f"{_as_typed(parameter.opts, arguments)}: {wrong}" if is_option else wrong
    help_of = f"; see {context.command_path} --help" if context is not None else ""
    return f"{message[:1].lower()}{message[1:]}{help_of}"


def _as_typed(names: Sequence[str], arguments: Sequence[str]) -> str:
    """`--size abc` of `--size abc` and `--size=abc`."""
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        name, equals, value = argument.partition("=")
        if name in names:
            return f"{name} {shown((value if equals else following) or repr(''))}"
    return names[-1]


def _write_nowhere() -> None:
    """So that Python does not fail once more when it flushes at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(nowhere, stream.fileno())
