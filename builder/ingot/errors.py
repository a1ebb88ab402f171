"""Every error a user can meet: a code, a message, and a hint that says what to do next.

Library code raises these and nothing else on purpose; ``ingot.__main__`` is the only place that
catches them and turns ``exit_code`` into the process's status. Keep this module free of imports:
everything imports it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class IngotError(Exception):
    """Something the user can understand and act on.

    ``message`` says what happened and names the file or thing concerned; ``hint`` says what to do
    next; ``code`` is a stable, lowercase, hyphenated name for scripts.
    """

    exit_code: ClassVar[int] = 1
    default_code: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code if code is not None else self.default_code

    def document(self) -> Mapping[str, Mapping[str, str | int | None]]:
        """The error as the one JSON document that ``--json`` prints."""
        return {
            "error": {
                "code": self.code,
                "message": self.message,
                "hint": self.hint,
                "exit_code": self.exit_code,
            }
        }


class AnswerNo(IngotError):
    """The command worked and the answer is no: verify, test or compare failed."""

    exit_code = 1
    default_code = "answer-no"


class UsageError(IngotError):
    """The command line asks for something that does not make sense."""

    exit_code = 2
    default_code = "usage"


class InputError(IngotError):
    """A recipe, model or output path cannot be used as given."""

    exit_code = 3
    default_code = "input"


class NetworkError(IngotError):
    """Something could not be fetched."""

    exit_code = 4
    default_code = "network"


class IntegrityError(IngotError):
    """Bytes are not the bytes that were promised: a hash, a size or a structure differs."""

    exit_code = 5
    default_code = "integrity"


class ToolchainError(IngotError):
    """A compiler, build tool or other child process failed."""

    exit_code = 6
    default_code = "toolchain"


class GpuError(IngotError):
    """A GPU, its driver or a module for it failed."""

    exit_code = 7
    default_code = "gpu"
