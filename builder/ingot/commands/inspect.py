"""``ingot inspect``: what is inside an executable or a GGUF."""

from __future__ import annotations

from pathlib import Path

import click

from ingot.bundle.manifest import HASHES, MODULE, RECIPE, SBOM, WEIGHTS, Entry, Manifest
from ingot.bundle.reader import Bundle, is_bundle, open_bundle
from ingot.commands import json_option, print_json, print_text
from ingot.commands._text import (
    engine_line,
    kernel_lines,
    model_lines,
    table,
    tests_line,
    type_lines,
)
from ingot.console import printable, size
from ingot.gguf.facts import model_facts
from ingot.gguf.join import Weights, load_weights
from ingot.gguf.kernels import KernelSet


@click.command(short_help="Show what is inside an executable or a GGUF.")
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def command(file: Path, as_json: bool) -> None:
    """Show what is inside FILE, an executable or a GGUF.

    It reads headers only; 'ingot verify' checks the content.
    """
    if not is_bundle(file):
        weights = load_weights(file)
        if as_json:
            print_json(_gguf_document(weights))
        else:
            print_text("\n".join(_gguf_lines(weights)))
        return
    with open_bundle(file) as bundle:
        if as_json:
            print_json(_bundle_document(bundle))
        else:
            print_text("\n".join(_bundle_lines(bundle)))


def _bundle_document(bundle: Bundle) -> dict[str, object]:
    return {
        "kind": "executable",
        "path": str(bundle.path),
        "manifest_sha256": bundle.manifest_sha256,
        **bundle.manifest.to_json(),
    }


def _gguf_document(weights: Weights) -> dict[str, object]:
    return {
        "kind": "gguf",
        "files": [str(path) for path in weights.files],
        "version": weights.gguf.version,
        "alignment": weights.gguf.alignment,
        "tensors": len(weights.gguf.tensors),
        "model": model_facts(weights.gguf).to_json(),
    }


def _bundle_lines(bundle: Bundle) -> list[str]:
    manifest = bundle.manifest
    about = manifest.about
    lines = [f"{printable(about.name)}: executable for {about.target}, {size(manifest.file_size)}"]
    lines += [
        printable(text) for text in (about.description, about.version, about.homepage) if text
    ]
    lines += ["", "Model", *model_lines(about.model)]
    lines += ["", "Tensor types", *type_lines(about.model["tensor_types"])]
    if about.model.get("kernels") is not None:
        kernels = KernelSet.from_json(about.model["kernels"])
        lines += ["", "Kernel set", *kernel_lines(kernels)]
    rows = [
        ("engine", engine_line(about.engine)),
        ("runtime", f"{about.runtime_key[:16]}, program of {size(manifest.program_size)}"),
        ("made by", f"{about.builder['name']} {about.builder['version']}"),
        ("arguments", " ".join(about.args) or "-"),
        ("web page", "yes" if about.ui else "no"),
        ("tests", tests_line(about.tests)),
        ("answers", "recorded" if about.answers is not None else "none recorded"),
        ("manifest", bundle.manifest_sha256),
    ]
    lines += ["", "Runtime", *(f"  {line}" for line in table(rows))]
    modules = [_module_text(entry) for entry in manifest.with_role(MODULE)]
    lines += [f"  {len(modules)} modules: {', '.join(modules)}"] if modules else []
    return [*lines, "", "Entries", *_entry_lines(manifest)]


def _module_text(entry: Entry) -> str:
    """The module's file name, and what a GPU module has code for."""
    name = entry.name.rsplit("/", 1)[-1]
    if entry.gpu is None:
        return name
    return f"{name} ({entry.gpu.covers})"


def _entry_lines(manifest: Manifest) -> list[str]:
    """Licences, the page and the sources are sums, everything else stands one by one."""
    rows = [("name", "role", "size", "in file", "sha256")]
    for entry in manifest.with_role(*WEIGHTS, MODULE, HASHES, RECIPE, SBOM):
        digest = _digest(manifest, entry)
        rows.append((entry.name, entry.role, f"{entry.size:,}", f"{entry.stored:,}", digest[:16]))
    for role, what in (("license", "licenses/"), ("ui", "ui/"), ("source", "sources/")):
        group = manifest.with_role(role)
        if group:
            sizes = (sum(e.size for e in group), sum(e.stored for e in group))
            name = f"{what} ({len(group)} file{'s' * (len(group) != 1)})"
            rows.append((name, role, f"{sizes[0]:,}", f"{sizes[1]:,}", ""))
    return [f"  {line}" for line in table(rows, right=(2, 3))]


def _digest(manifest: Manifest, entry: Entry) -> str:
    """The sha256, for weights the root of their tree."""
    leaves = manifest.entry(entry.leaves) if entry.leaves else None
    return (leaves.sha256 if leaves else entry.sha256) or ""


def _gguf_lines(weights: Weights) -> list[str]:
    facts = model_facts(weights.gguf).to_json()
    count = len(weights.files)
    parts = f", joined from {count} files" if count > 1 else ""
    title = f"{printable(weights.file_name)}: GGUF version {weights.gguf.version}{parts}"
    lines = [f"{title}, {len(weights.gguf.tensors)} tensors"]
    lines += ["", "Model", *model_lines(facts)]
    return [*lines, "", "Tensor types", *type_lines(facts["tensor_types"])]
