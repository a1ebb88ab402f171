"""The entry point, and the one place that catches errors and decides the exit status.

0 done, 1 the answer is no, 2 usage, 3 recipe or input, 4 network, 5 integrity, 6 toolchain,
7 GPU, 130 interrupted.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

import click

from ingot.cli import root
from ingot.console import json_text, printable_lines
from ingot.errors import IngotError, InputError, UsageError
from ingot.frozen import ENDING_SIGNALS, interrupt_once, is_frozen
from ingot.streams import abandon_output, open_standard_streams, output_fault, say

INTERRUPTED = 130
COMPLETE = "_INGOT_COMPLETE"  # what a completion script sets; see ingot completion


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (``sys.argv`` by default) and return the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    open_standard_streams()
    _end_politely()
    try:
        status = _dispatch(words)
        sys.stdout.flush()
    except IngotError as error:
        return _report(error, words)
    except click.ClickException as error:
        return _report(_from_click(error), words)
    except (KeyboardInterrupt, click.Abort):
        say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        abandon_output()  # its reader went away (`| head`), which is not an error
        return 0
    except OSError as error:
        return _report(_from_os(error), words)
    except UnicodeEncodeError as error:
        return _report(_from_name(error), words)
    return status


def _dispatch(words: list[str]) -> int:
    """What click's own ``main`` does, less its catching, which exits by ways of its own."""
    asked = os.environ.get(COMPLETE)
    if asked:
        from click.shell_completion import shell_complete

        return shell_complete(root, {}, "ingot", COMPLETE, asked)
    try:
        with root.make_context("ingot", words or ["--help"]) as context:
            root.invoke(context)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    return 0


def _end_politely() -> None:
    """Let SIGTERM and SIGHUP unwind like Ctrl-C, so that children end and temporaries go."""
    handler = interrupt_once if is_frozen() else signal.default_int_handler
    for number in ENDING_SIGNALS:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, handler)


def _from_click(error: click.ClickException) -> IngotError:
    hint = None
    if isinstance(error, click.UsageError) and error.ctx is not None:
        hint = f"see '{error.ctx.command_path} --help'"
    return UsageError(error.format_message(), hint=hint)


def _from_os(error: OSError) -> IngotError:
    """A file system error that no library function put into words of its own."""
    if output_fault():
        abandon_output()
        return InputError(
            f"cannot write to standard output: {error.strerror or error}",
            hint="everything but this output is done",
            code="output-lost",
        )
    where = f"{error.filename}: " if error.filename else ""
    return InputError(f"{where}{error.strerror or error}", code="os-error")


def _from_name(error: UnicodeEncodeError) -> IngotError:
    """A file name that is not UTF-8, where only text can stand."""
    return InputError(
        f"{error.object[:200]!r} is not UTF-8",
        hint="rename the file, or give it a link with another name",
        code="bad-name",
    )


def _wants_json(words: Sequence[str]) -> bool:
    options = words[: words.index("--")] if "--" in words else words
    return "--json" in options


def _report(error: IngotError, words: Sequence[str]) -> int:
    if not (_wants_json(words) and _print_document(error)):
        red, plain = ("\x1b[31m", "\x1b[0m") if _coloured() else ("", "")
        say(f"{red}error:{plain} {printable_lines(error.message)}")
        if error.hint:
            say(f"hint: {printable_lines(error.hint)}")
    return error.exit_code


def _print_document(error: IngotError) -> bool:
    """Print the error as JSON; False when standard output cannot be written."""
    if error.code == "output-lost":
        return False
    try:
        print(json_text(error.document()), flush=True)
    except OSError:
        abandon_output()
        return False
    return True


def _coloured() -> bool:
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR")


if __name__ == "__main__":
    sys.exit(main())
