"""Deflate64, method 9 of ZIP, which the standard library does not read.

The only module that imports zipfile-deflate64, because importing it changes ``zipfile`` for the
whole process: it then also accepts method 9 for writing, and writes archives that nobody can
read. Ingot writes methods 0 and 8 only. The package has a wheel for Python 3.10 alone and is
compiled elsewhere, so it is an extra and not a dependency. pip builds in isolation, where a
``python -m ziglang`` finds its package only with -E.
"""

from __future__ import annotations

import sys

from ingot.errors import InputError
from ingot.frozen import is_frozen

METHOD = 9


def enable(archive: str) -> None:
    """Let ``zipfile`` read method 9. Raises InputError ``needs-deflate64`` naming ``archive``."""
    try:
        import zipfile_deflate64  # noqa: F401
    except ImportError as error:
        install = (
            f"{sys.executable} -m pip install zipfile-deflate64; without a C compiler install the "
            f"package ziglang first, and set CC='{sys.executable} -E -m ziglang cc'. Or "
        )
        raise InputError(
            f"{archive}: is compressed with Deflate64, which needs the package zipfile-deflate64",
            hint=f"{'' if is_frozen() else install}unpack the archive and give the .gguf file",
            code="needs-deflate64",
        ) from error
