"""Lines and tables that several verbs print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ingot.bundle.manifest import RecordedTest
from ingot.console import printable, size
from ingot.gguf.kernels import KernelSet


def engine_line(engine: Mapping[str, Any]) -> str:
    """``llama-cpp-python 0.3.36 (0c1e57098)``."""
    commit = str(engine.get("commit", ""))[:9]
    return f"{engine.get('package', '?')} {engine.get('version', '?')} ({commit or '?'})"


def table(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """Lines with aligned columns, two spaces apart; columns in ``right`` are right-aligned.

    Cells are one line each and safe for a terminal.
    """
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def model_lines(model: Mapping[str, Any]) -> list[str]:
    """What a model is: the manifest's ``model`` object as lines."""
    rows = [("name", _plain(model.get("name"))), ("architecture", str(model["architecture"]))]
    rows.append(("parameters", f"{model['parameters']:,}"))
    rows += [
        (key.replace("_", " "), f"{model[key]:,}")
        for key in ("context_length", "embedding_length", "block_count", "vocabulary")
        if model.get(key) is not None
    ]
    rows.append(("quantisation", str(model["quantization"])))
    rows.append(("size", size(int(model["size"]))))
    rows.append(("licence", _plain(model.get("license"))))
    kinds = [
        word
        for key, word in (("chat_template", "chat template"), ("embedding", "embeddings"))
        if model.get(key)
    ]
    rows.append(("offers", ", ".join(kinds) or "text completion"))
    return [f"  {line}" for line in table(rows)]


def type_lines(types: Mapping[str, Mapping[str, int]]) -> list[str]:
    """The histogram of tensor types, the largest share first, with a bar for the bytes."""
    total = sum(share["bytes"] for share in types.values()) or 1
    rows = []
    for name, share in sorted(types.items(), key=lambda item: -item[1]["bytes"]):
        part = share["bytes"] / total
        bar = "#" * max(1, round(part * 30))
        rows.append((name, str(share["count"]), size(share["bytes"]), f"{part:.1%}", bar))
    return [f"  {line}" for line in table(rows, right=(1, 2, 3))] if rows else []


def kernel_lines(kernels: KernelSet) -> list[str]:
    """What a model asks of a GPU module."""
    rows = [("ops", ", ".join(kernels.ops))]
    rows += [(op, ", ".join(types)) for op, types in kernels.source_types.items()]
    rows += [
        (op, ", ".join(f"{source} to {to}" for source, to in pairs))
        for op, pairs in kernels.copies.items()
    ]
    rows.append(("KV types", ", ".join("/".join(pair) for pair in kernels.kv_types)))
    heads = (f"heads {k}/{v}, {queries} queries each" for k, v, queries in kernels.attention)
    rows.append(("attention", "; ".join(heads)))
    rows += [
        (f"{name} weights", f"{share.count} tensors, {size(share.bytes)}")
        for name, share in kernels.weights.items()
    ]
    return [f"  {line}" for line in table([(key, value or "-") for key, value in rows])]


def tests_line(tests: Sequence[RecordedTest] | None) -> str:
    """``2 of 2 passed``, with the names of those that did not."""
    if tests is None:
        return "none recorded"
    failed = [printable(test.name) for test in tests if not test.passed]
    line = f"{len(tests) - len(failed)} of {len(tests)} passed"
    return f"{line}; failed: {', '.join(failed)}" if failed else line


def _plain(value: object) -> str:
    return "-" if value is None else str(value)
