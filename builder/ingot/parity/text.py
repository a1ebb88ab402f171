"""The text that is compared over: a file of the user's, or a short one of Ingot's own."""

from __future__ import annotations

from pathlib import Path

from ingot.errors import InputError

TEXT = Path(__file__).with_name("text.txt")
LIMIT = 64 << 20  # bytes; a text of this size takes a small model a day


def read_text(path: Path) -> str:
    """Raises InputError ``text-too-long``, ``not-text`` or ``missing-file``."""
    try:
        if path.stat().st_size > LIMIT:
            raise InputError(
                f"{path}: has more than {LIMIT} bytes",
                hint="cut it: a few thousand tokens tell enough",
                code="text-too-long",
            )
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: is not UTF-8 text (at byte {error.start})",
            hint="convert the text to UTF-8",
            code="not-text",
        ) from error
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror}", hint="check the path", code="missing-file"
        ) from error
