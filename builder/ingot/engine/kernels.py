"""Asking the engine for a model's kernel set, through the runtime image's own program.

The engine loads the model without its weights (``runtime/kernel_set.cc``), so what is handed over
may be a header alone, as long as the file has the whole model's size.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ingot import process
from ingot.bundle.inputs import FileRegion, open_input
from ingot.engine.image import RuntimeImage
from ingot.errors import InputError, IntegrityError, ToolchainError
from ingot.gguf.kernels import KernelSet
from ingot.gguf.reader import read_gguf_from

TIMEOUT = 60.0  # seconds; a model of 4 GiB takes less than 0.2
_COPIED = 1 << 20
_CACHE_FLAGS = {
    "-ctk": ("-ctk", "--cache-type-k", "--cache_type_k"),
    "-ctv": ("-ctv", "--cache-type-v", "--cache_type_v"),
}


def ask_kernels(
    runtime: RuntimeImage, model: Path, args: Sequence[str] = (), *, name: str | None = None
) -> KernelSet:
    """The kernel set of the GGUF ``model`` (of a split one, its first part).

    ``name`` is how errors call it; its path if None. KV caches are F16 and what the default
    arguments ``args`` ask for, whatever the environment says, so that the same inputs give the
    same set. Raises InputError ``no-kernel-set`` with the engine's reason when it cannot make the
    model's graph.
    """
    name = name or str(model)
    with tempfile.TemporaryDirectory(prefix="ingot-kernels-") as folder:
        try:
            done = process.run(
                [runtime.program, "kernels", "--json", "-m", model.absolute(), *_caches(args)],
                log=Path(folder) / "log",
                timeout=TIMEOUT,
                what="the engine",
                check=False,
                stderr_to_log=True,
            )
        except ToolchainError as error:
            raise _no_set(name, error.message) from error
    if done.status != 0:
        said = [line for line in done.lines if line.startswith("error: ")]
        reason = said[-1].removeprefix("error: ") if said else f"it ended with {done.status}"
        raise _no_set(name, reason)
    try:
        return KernelSet.from_json(json.loads("".join(done.lines)))
    except (ValueError, RecursionError, IntegrityError) as error:
        raise _no_set(name, "its answer cannot be read") from error


@contextmanager
def header_of(region: FileRegion) -> Iterator[Path]:
    """A temporary file with the header of the GGUF at ``region`` and its size, without its weights.

    The rest is a hole and takes no space. Raises InputError, also when the GGUF is not sound.
    """
    with (
        open_input(region.path) as (stream, _size),
        tempfile.NamedTemporaryFile(prefix="ingot-header-", suffix=".gguf") as copy,
    ):
        gguf = read_gguf_from(
            stream, name=str(region.path), start=region.offset, size=region.length
        )
        for at in range(0, gguf.data_at, _COPIED):
            count = min(_COPIED, gguf.data_at - at)
            copy.write(os.pread(stream.fileno(), count, region.offset + at))
        copy.truncate(region.length)
        copy.flush()
        yield Path(copy.name)


def _caches(args: Sequence[str]) -> list[str]:
    """``-ctk TYPE -ctv TYPE`` as ``args`` have them, the last of each, or F16."""
    words = []
    for flag, spellings in _CACHE_FLAGS.items():
        values = [args[at + 1] for at in range(len(args) - 1) if args[at] in spellings]
        words += [flag, values[-1] if values else "f16"]
    return words


def _no_set(name: str, reason: str) -> InputError:
    return InputError(
        f"{name}: no kernel set: {reason}",
        hint="it may need a newer engine, or be no model that runs by itself",
        code="no-kernel-set",
    )
