"""The manifest: what an executable says about itself. JSON to frozen data and back, checked.

A manifest whose hash is right may still come from anybody, so every field is checked before use.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from ingot.bundle.format import (
    CHUNK,
    DEFLATED,
    ENTRIES_MAX,
    FORMAT,
    MANIFEST_MAX,
    MANIFEST_NAME,
    STORED,
    name_problem,
)
from ingot.errors import IntegrityError
from ingot.gguf.kernels import KernelSet

MODEL, PROJECTOR, LORA, DRAFT = "model", "projector", "lora", "draft"
HASHES, MODULE, LICENSE, UI, SOURCE = "hashes", "module", "license", "ui", "source"
RECIPE, SBOM = "recipe", "sbom"
WEIGHTS = (MODEL, PROJECTOR, LORA, DRAFT)
DEFLATABLE = (LICENSE, UI, SOURCE, RECIPE, SBOM)
ROLES = (*WEIGHTS, HASHES, MODULE, *DEFLATABLE)

CUDA, VULKAN = "cuda", "vulkan"

ARCH = re.compile(r"[1-9][0-9]{1,2}[af]?")  # compute capability 9.0a: 90a

_HEX = frozenset("0123456789abcdef")
_LIMIT = 1 << 63
T = TypeVar("T")


@dataclass(frozen=True)
class CudaFacts:
    """A CUDA module: machine code for the compute capabilities ``archs``, such as ``90``, and with
    ``ptx`` also PTX of the last one, for newer devices.

    ``key`` is the module's own in module caches; ``sources`` the digest of what it was compiled
    from; ``toolkit`` and ``host_compiler`` say with what.
    """

    archs: tuple[str, ...]
    ptx: bool
    key: str
    sources: str
    toolkit: str
    host_compiler: str
    kind: str = CUDA

    @property
    def covers(self) -> str:
        """For people: ``sm_80, sm_90, PTX``."""
        return ", ".join([f"sm_{arch}" for arch in self.archs] + ["PTX"] * self.ptx)

    def to_json(self) -> dict[str, Any]:
        """The JSON object of the manifest."""
        return {**vars(self), "archs": list(self.archs)}


@dataclass(frozen=True)
class VulkanFacts:
    """A Vulkan module with that many compiled ``shaders``, for any device with Vulkan 1.2.

    ``key`` names what it was made from, the model's kernel set included; ``sources`` the same
    without the model. ``headers`` is the version of Vulkan's headers, ``compiler`` that of shaders.
    """

    shaders: int
    key: str
    sources: str
    headers: str
    compiler: str
    kind: str = VULKAN

    @property
    def covers(self) -> str:
        """For people: ``351 shaders``."""
        return f"{self.shaders} shaders"

    def to_json(self) -> dict[str, Any]:
        """The JSON object of the manifest."""
        return dict(vars(self))


GpuFacts = CudaFacts | VulkanFacts


@dataclass(frozen=True)
class Entry:
    """One entry: ``offset`` is where its data begins, ``stored`` what it takes in the file.

    ``gpu`` says what a GPU module was compiled for; CPU modules have none.

    ``leaves`` names the entry with the chunk hashes, for weights only; they have no ``sha256``
    of their own, everything else has.
    """

    name: str
    role: str
    method: int
    offset: int
    size: int
    stored: int
    crc32: int
    sha256: str | None = None
    target: str | None = None
    leaves: str | None = None
    gpu: GpuFacts | None = None

    def to_json(self) -> dict[str, Any]:
        """The JSON object of the manifest."""
        document: dict[str, Any] = {
            "name": self.name,
            "role": self.role,
            "method": self.method,
            "offset": self.offset,
            "size": self.size,
            "stored": self.stored,
            "crc32": self.crc32,
        }
        if self.sha256 is not None:
            document["sha256"] = self.sha256
        if self.target is not None:
            document["target"] = self.target
        if self.leaves is not None:
            document["tree"] = {"chunk": CHUNK, "leaves": self.leaves}
        if self.gpu is not None:
            document["gpu"] = self.gpu.to_json()
        return document


@dataclass(frozen=True)
class RecordedTest:
    """A test of the recipe that was run on the executable, and whether it passed."""

    name: str
    passed: bool


@dataclass(frozen=True)
class Description:
    """The part of a manifest that is known before anything is placed or hashed.

    ``tests`` and ``answers`` are what was recorded after it was built; None means that nothing was.
    """

    name: str
    description: str | None
    target: str
    builder: Mapping[str, str]
    engine: Mapping[str, Any]
    toolchain: Mapping[str, Any]
    runtime_key: str
    args: tuple[str, ...]
    ui: bool
    model: Mapping[str, Any]
    version: str | None = None
    homepage: str | None = None
    tests: tuple[RecordedTest, ...] | None = None
    answers: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Manifest:
    """Everything. Sizes are bytes, hashes lowercase hex sha256."""

    about: Description
    file_size: int
    program_size: int
    program_sha256: str
    entries: tuple[Entry, ...]

    def with_role(self, *roles: str) -> tuple[Entry, ...]:
        """The entries that have one of ``roles``, in file order."""
        return tuple(entry for entry in self.entries if entry.role in roles)

    def entry(self, name: str) -> Entry | None:
        """The entry called ``name``."""
        return next((entry for entry in self.entries if entry.name == name), None)

    def to_json(self) -> dict[str, Any]:
        """The JSON document."""
        about = self.about
        optional: dict[str, Any] = {
            "version": about.version,
            "homepage": about.homepage,
            "answers": about.answers,
        }
        if about.tests is not None:
            optional["tests"] = [dict(vars(test)) for test in about.tests]
        return {
            **{key: value for key, value in optional.items() if value is not None},
            "format": FORMAT,
            "file_size": self.file_size,
            "name": about.name,
            "description": about.description,
            "target": about.target,
            "builder": dict(about.builder),
            "program": {"size": self.program_size, "sha256": self.program_sha256},
            "engine": dict(about.engine),
            "toolchain": dict(about.toolchain),
            "runtime_key": about.runtime_key,
            "defaults": {"args": list(about.args), "ui": about.ui},
            "model": dict(about.model),
            "entries": [entry.to_json() for entry in self.entries],
        }

    def encode(self, size: int | None = None) -> bytes:
        """The bytes in the file, padded with spaces to ``size`` bytes."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        raw = text.encode("ascii")
        if size is None:
            return raw
        assert len(raw) <= size
        return raw.ljust(size)


def decode(raw: bytes) -> Manifest:
    """Parse and check a manifest's bytes. Raises IntegrityError ``manifest-invalid`` only."""
    if len(raw) > MANIFEST_MAX:
        raise _invalid(f"has {len(raw)} bytes; the limit is {MANIFEST_MAX}")
    try:
        document = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _invalid("is not JSON") from error
    if not isinstance(document, dict):
        raise _invalid("is not a JSON object")
    if document.get("format") != FORMAT:
        raise _invalid(f"has format {document.get('format')!r}, not {FORMAT}")
    program = _get(document, "program", dict)
    return Manifest(
        about=_description(document),
        file_size=_number(document, "file_size"),
        program_size=_number(program, "size"),
        program_sha256=_hash(program, "sha256"),
        entries=_entries(_get(document, "entries", list)),
    )


def _description(document: Mapping[str, Any]) -> Description:
    defaults = _get(document, "defaults", dict)
    args = _get(defaults, "args", list)
    if not all(isinstance(word, str) for word in args):
        raise _invalid("has defaults.args that are not strings")
    builder = _get(document, "builder", dict)
    return Description(
        name=_get(document, "name", str),
        description=_optional(document, "description"),
        target=_get(document, "target", str),
        builder={key: _get(builder, key, str) for key in ("name", "version")},
        engine=_get(document, "engine", dict),
        toolchain=_get(document, "toolchain", dict),
        runtime_key=_get(document, "runtime_key", str),
        args=tuple(args),
        ui=_get(defaults, "ui", bool),
        model=_model(_get(document, "model", dict)),
        version=_optional(document, "version"),
        homepage=_optional(document, "homepage"),
        tests=_tests(document),
        answers=None if document.get("answers") is None else _get(document, "answers", dict),
    )


def _tests(document: Mapping[str, Any]) -> tuple[RecordedTest, ...] | None:
    if document.get("tests") is None:
        return None
    tests = _get(document, "tests", list)
    if not all(isinstance(test, dict) for test in tests):
        raise _invalid("has a test that is not an object")
    return tuple(RecordedTest(_get(one, "name", str), _get(one, "passed", bool)) for one in tests)


def _model(model: dict[str, Any]) -> dict[str, Any]:
    """Check the facts that are printed or computed with; others may be there as well."""
    for key in ("architecture", "quantization"):
        _get(model, key, str)
    for key in ("name", "license"):
        _optional(model, key)
    for key in ("parameters", "size"):
        _number(model, key)
    for key in ("context_length", "embedding_length", "block_count", "vocabulary"):
        if model.get(key) is not None:
            _number(model, key)
    for share in _get(model, "tensor_types", dict).values():
        if not isinstance(share, dict):
            raise _invalid("has a tensor type without counts")
        _number(share, "count")
        _number(share, "bytes")
    if model.get("kernels") is not None:
        try:
            KernelSet.from_json(model["kernels"])
        except IntegrityError as error:
            raise _invalid(f"is wrong: {error.message}") from error
    return model


def _entries(raw: list[Any]) -> tuple[Entry, ...]:
    if len(raw) > ENTRIES_MAX:
        raise _invalid(f"has {len(raw)} entries; the limit is {ENTRIES_MAX}")
    entries = tuple(_entry(item) for item in raw)
    by_name = {entry.name: entry for entry in entries}
    if len(by_name) != len(entries):
        raise _invalid("names an entry twice")
    for entry in entries:
        leaves = by_name.get(entry.leaves) if entry.leaves else None
        if entry.role in WEIGHTS and (leaves is None or leaves.role != HASHES):
            raise _invalid(f"has no chunk hashes for {entry.name!r}")
    if sum(entry.role == MODEL for entry in entries) != 1:
        raise _invalid("does not have exactly one model")
    return entries


def _entry(item: Any) -> Entry:
    if not isinstance(item, dict):
        raise _invalid("has an entry that is not an object")
    name, role, method = _get(item, "name", str), _get(item, "role", str), _get(item, "method", int)
    problem = name_problem(name)
    if problem or name == MANIFEST_NAME:
        raise _invalid(f"has an entry whose name {name!r} {problem or 'is taken'}")
    if role not in ROLES:
        raise _invalid(f"gives {name!r} the unknown role {role!r}")
    if method not in (STORED, DEFLATED) or (role not in DEFLATABLE and method):
        raise _invalid(f"gives {name!r} the method {method}")
    size, stored = _number(item, "size"), _number(item, "stored")
    if method == STORED and size != stored:
        raise _invalid(f"gives {name!r} two different sizes")
    leaves = None
    if role in WEIGHTS:
        tree = _get(item, "tree", dict)
        leaves = _get(tree, "leaves", str)
        if tree.get("chunk") != CHUNK:
            raise _invalid(f"gives {name!r} another chunk size than {CHUNK}")
    return Entry(
        name=name,
        role=role,
        method=method,
        offset=_number(item, "offset"),
        size=size,
        stored=stored,
        crc32=_number(item, "crc32", 1 << 32),
        sha256=None if role in WEIGHTS else _hash(item, "sha256"),
        target=_get(item, "target", str) if role == MODULE else None,
        leaves=leaves,
        gpu=parse_gpu(_get(item, "gpu", dict)) if role == MODULE and "gpu" in item else None,
    )


def parse_gpu(table: Mapping[str, Any]) -> GpuFacts:
    """The facts about a GPU module. Raises IntegrityError ``manifest-invalid``."""
    kind = _get(table, "kind", str)
    if kind == VULKAN:
        return VulkanFacts(
            shaders=_number(table, "shaders"),
            key=_hash(table, "key"),
            sources=_hash(table, "sources"),
            headers=_get(table, "headers", str),
            compiler=_get(table, "compiler", str),
        )
    if kind != CUDA:
        raise _invalid(f"has a GPU module of the unknown kind {kind!r}")
    archs = _get(table, "archs", list)
    if not archs or not all(isinstance(arch, str) and ARCH.fullmatch(arch) for arch in archs):
        raise _invalid("has a GPU module without architectures")
    return CudaFacts(
        archs=tuple(archs),
        ptx=_get(table, "ptx", bool),
        key=_hash(table, "key"),
        sources=_hash(table, "sources"),
        toolkit=_get(table, "toolkit", str),
        host_compiler=_get(table, "host_compiler", str),
    )


def _get(document: Mapping[str, Any], key: str, kind: type[T]) -> T:
    value = document.get(key)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise _invalid(f"has no {kind.__name__} {key!r}")
    return value


def _optional(document: Mapping[str, Any], key: str) -> str | None:
    return None if document.get(key) is None else _get(document, key, str)


def _number(document: Mapping[str, Any], key: str, limit: int = _LIMIT) -> int:
    value = _get(document, key, int)
    if not 0 <= value < limit:
        raise _invalid(f"has {key!r} out of range")
    return value


def _hash(document: Mapping[str, Any], key: str) -> str:
    value = _get(document, key, str)
    if len(value) != 64 or not set(value) <= _HEX:
        raise _invalid(f"has {key!r} that is not a sha256")
    return value


def _invalid(what: str) -> IntegrityError:
    return IntegrityError(
        f"the manifest {what}",
        hint="the executable is damaged or was not made by Ingot",
        code="manifest-invalid",
    )
