"""The software bill of materials of an executable: CycloneDX 1.6, as JSON. Pure.

It says what the manifest says, and of what the manifest's entries were made. Nothing in it depends
on when or where it was made, so the same inputs give the same bytes: the serial number follows from
the content, and there is a time only if the caller gives one. docs/reference/sbom.md tells people.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from ingot.bundle.manifest import (
    DRAFT,
    LICENSE,
    MODEL,
    MODULE,
    SOURCE,
    WEIGHTS,
    CudaFacts,
    Entry,
    Manifest,
    VulkanFacts,
)
from ingot.engine.components import ENGINE, LINKED, PAGE, Component
from ingot.gguf.facts import ModelFacts
from ingot.recipe.spdx import expression, identifiers

SBOM_NAME = "sbom.json"
MODEL_TYPE = "machine-learning-model"
_SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"
_SPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://cyclonedx.org/ingot")
_URL_SAFE = ":/?#[]@!$&'()*+,;=%~"
_ENGINE_REF, _PROGRAM_REF, _PAGE_REF, _ROOT_REF = "engine", "program", "web-page", "executable"

Document = dict[str, Any]


@dataclass(frozen=True)
class Provenance:
    """Where weights come from, as far as the caller knows it.

    ``sha256`` is that of the whole GGUF as it is in the executable. ``license`` is an SPDX
    expression or a name, and counts more than what the GGUF says.
    """

    source: str | None = None
    sha256: str | None = None
    license: str | None = None


@dataclass(frozen=True)
class Ingredients:
    """What an SBOM says beyond the manifest; ``facts`` and ``provenance`` by the weights' entry.

    Weights whose header cannot be read have no facts. ``timestamp`` is in seconds since 1970, UTC.
    """

    components: tuple[Component, ...]
    facts: Mapping[str, ModelFacts]
    provenance: Mapping[str, Provenance] = field(default_factory=dict)
    timestamp: int | None = None


def write_sbom(manifest: Manifest, ingredients: Ingredients) -> bytes:
    """The SBOM of the executable that ``manifest`` describes, which needs no SBOM entry yet."""
    parts = list(_parts(manifest, ingredients))
    known = {part["bom-ref"]: part for part, _needs in parts}
    graph: dict[str, set[str]] = {ref: set() for ref in (_ROOT_REF, *known)}
    for part, needs in parts:
        graph[part["bom-ref"]] |= set(needs)
    graph[_ROOT_REF] = set(known) - set().union(*graph.values())
    document = {
        "$schema": _SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": _metadata(manifest, ingredients.timestamp),
        "components": list(known.values()),
        "dependencies": [
            {"ref": ref, "dependsOn": sorted(needs)} for ref, needs in sorted(graph.items())
        ],
    }
    digest = hashlib.sha256(json.dumps(document).encode()).hexdigest()
    document["serialNumber"] = f"urn:uuid:{uuid.uuid5(_SPACE, digest)}"
    return (json.dumps(document, indent=1) + "\n").encode("ascii")


def read_provenance(raw: bytes) -> Mapping[str, Provenance]:
    """By the weights' entry, what an SBOM says that cannot be known from the weights.

    What is not as ``write_sbom`` writes it is left out: the SBOM may come from anybody.
    """
    try:
        listed = json.loads(raw)["components"]
        models = [one for one in listed if one["type"] == MODEL_TYPE]
        return {str(one["bom-ref"]): _provenance(one) for one in models}
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return {}


def _provenance(component: Document) -> Provenance:
    def text(value: object) -> str | None:
        return value if isinstance(value, str) and value.isprintable() else None

    source = [text(one["url"]) for one in component.get("externalReferences", [])]
    digest = [text(one["content"]) for one in component.get("hashes", [])]
    licences = [
        text(one.get("expression") or one["license"].get("id") or one["license"].get("name"))
        for one in component.get("licenses", [])
    ]
    sha256 = digest[0] if digest and digest[0] and _is_sha256(digest[0]) else None
    return Provenance(source[0] if source else None, sha256, licences[0] if licences else None)


def _is_sha256(digest: str) -> bool:
    return len(digest) == 64 and set(digest) <= set("0123456789abcdef")


def _metadata(manifest: Manifest, timestamp: int | None) -> Document:
    about = manifest.about
    used = {about.builder["name"]: about.builder["version"], **about.toolchain}
    when = {}
    if timestamp is not None:
        when["timestamp"] = datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    root: Document = {"type": "application", "bom-ref": _ROOT_REF, "name": about.name}
    if about.description:
        root["description"] = about.description
    if about.version:
        root["version"] = about.version
    if about.homepage:
        url = quote(about.homepage, safe=_URL_SAFE)
        root["externalReferences"] = [{"type": "website", "url": url}]
    root["properties"] = _properties(
        {
            "target": about.target,
            "runtime-key": about.runtime_key,
            "arguments": " ".join(about.args),
        }
    )
    return {
        **when,
        "lifecycles": [{"phase": "build"}],
        "tools": {
            "components": [
                {"type": "application", "name": name, "version": str(version)}
                for name, version in sorted(used.items())
            ]
        },
        "component": root,
    }


def _parts(
    manifest: Manifest, ingredients: Ingredients
) -> Iterator[tuple[Document, Iterable[str]]]:
    """Components and what each depends on, in the order of the document."""
    texts = {entry.name for entry in manifest.with_role(LICENSE)}
    libraries = {
        part: sorted(
            (_library(one, texts) for one in ingredients.components if one.part == part),
            key=lambda one: str(one["bom-ref"]),
        )
        for part in (ENGINE, LINKED, PAGE)
    }
    vendored, linked, packages = (
        [str(one["bom-ref"]) for one in libraries[part]] for part in (ENGINE, LINKED, PAGE)
    )
    main = manifest.with_role(MODEL)[0]
    for entry in manifest.with_role(*WEIGHTS):
        needs = [main.name] if entry.role not in (MODEL, DRAFT) else []
        yield _weights(manifest, entry, ingredients, texts), needs
    yield _program(manifest), [_ENGINE_REF, *linked]
    yield _engine(manifest, texts), vendored
    for entry in manifest.with_role(MODULE):
        own = list(_inside_gpu_module(entry, texts))
        needs = linked if not isinstance(entry.gpu, CudaFacts) else []
        yield _module(entry), [_ENGINE_REF, *needs, *(str(one["bom-ref"]) for one in own)]
        yield from ((one, ()) for one in own)
    for entry in manifest.with_role(SOURCE):
        yield _file(entry), [_ENGINE_REF]
    if manifest.about.ui:
        yield _page(manifest, texts), packages
        yield from ((one, ()) for one in libraries[PAGE])
    yield from ((one, ()) for one in (*libraries[ENGINE], *libraries[LINKED]))


def _weights(
    manifest: Manifest, entry: Entry, ingredients: Ingredients, texts: set[str]
) -> Document:
    facts = ingredients.facts.get(entry.name)
    known = ingredients.provenance.get(entry.name, Provenance())
    leaves = manifest.entry(entry.leaves or "")
    component: Document = {
        "type": MODEL_TYPE,
        "bom-ref": entry.name,
        "name": (facts.name if facts else None) or entry.name.rpartition("/")[2],
    }
    if known.sha256:
        component["hashes"] = _hashes(known.sha256)
    component |= _licences(known.license or (facts.license if facts else None))
    if known.source:
        url = quote(known.source, safe=_URL_SAFE)
        component["externalReferences"] = [{"type": "distribution", "url": url}]
    if facts:
        component["modelCard"] = _model_card(entry, facts)
    text = "licenses/model.txt" if entry.role == MODEL else ""
    component["properties"] = _properties(
        {
            "role": entry.role,
            "size": entry.size,
            "chunk-tree-sha256": leaves.sha256 if leaves else None,
            "license-entry": text if text in texts else None,
        }
    )
    return component


def _model_card(entry: Entry, facts: ModelFacts) -> Document:
    parameters = {"modelArchitecture": facts.architecture}
    if entry.role in (MODEL, DRAFT):
        parameters["task"] = "feature-extraction" if facts.embedding else "text-generation"
    more = {
        "quantization": facts.quantization,
        "parameters": facts.parameters,
        "context-length": facts.context_length,
    }
    return {"modelParameters": parameters, "properties": _properties(more)}


def _program(manifest: Manifest) -> Document:
    return {
        "type": "application",
        "bom-ref": _PROGRAM_REF,
        "name": "ingot-runtime",
        "version": manifest.about.builder["version"],
        "hashes": _hashes(manifest.program_sha256),
        **_licences("Apache-2.0"),
    }


def _engine(manifest: Manifest, texts: set[str]) -> Document:
    """llama.cpp itself; the Python package is only what brought its sources."""
    engine = manifest.about.engine
    package, version, commit = (str(engine[key]) for key in ("package", "version", "commit"))
    return {
        "type": "library",
        "bom-ref": _ENGINE_REF,
        "name": "llama.cpp",
        "version": commit,
        **_licences("MIT"),
        "purl": f"pkg:github/ggml-org/llama.cpp@{quote(commit)}",
        "pedigree": {
            "ancestors": [
                {
                    "type": "library",
                    "name": package,
                    "version": version,
                    "hashes": _hashes(str(engine["sha256"])),
                    "purl": f"pkg:pypi/{quote(package)}@{quote(version)}",
                }
            ],
            "commits": [{"uid": commit}],
        },
        **_text("llama.cpp.txt", texts),
    }


def _module(entry: Entry) -> Document:
    facts: dict[str, object] = {"role": entry.role, "target": entry.target}
    if entry.gpu is not None:
        facts |= {"gpu": entry.gpu.kind, "gpu-covers": entry.gpu.covers, "gpu-key": entry.gpu.key}
    if isinstance(entry.gpu, CudaFacts):
        facts |= {"toolkit": entry.gpu.toolkit, "host-compiler": entry.gpu.host_compiler}
    if isinstance(entry.gpu, VulkanFacts):
        facts |= {"headers": entry.gpu.headers, "shader-compiler": entry.gpu.compiler}
    return {
        "type": "library",
        "bom-ref": entry.name,
        "name": entry.name.rpartition("/")[2],
        "hashes": _hashes(entry.sha256 or ""),
        **_licences("MIT"),
        "properties": _properties(facts),
    }


def _inside_gpu_module(entry: Entry, texts: set[str]) -> Iterator[Document]:
    """What a GPU module contains beside the engine; THIRD-PARTY-NOTICES.md says the same."""
    found = []
    if isinstance(entry.gpu, CudaFacts):
        # The toolkit's version is nvcc's; that of its runtime library may be another.
        terms = "NVIDIA CUDA Toolkit EULA"
        found = [Component("CUDA runtime (cudart_static)", MODULE, license=terms)]
    if isinstance(entry.gpu, VulkanFacts):
        github = "pkg:github/KhronosGroup"
        found = [
            Component(
                "Vulkan headers",
                MODULE,
                entry.gpu.headers,
                "Apache-2.0 OR MIT",
                f"{github}/Vulkan-Headers",
            ),
            Component("SPIR-V headers", MODULE, None, "MIT", f"{github}/SPIRV-Headers"),
        ]
    for one in found:
        assert entry.gpu is not None
        text = _text(f"{entry.gpu.kind}-module.txt", texts)
        yield {**_library(one, texts), **text}


def _page(manifest: Manifest, texts: set[str]) -> Document:
    return {
        "type": "application",
        "bom-ref": _PAGE_REF,
        "name": "llama.cpp web page",
        "version": str(manifest.about.engine["commit"]),
        **_licences("MIT"),
        **_text("llama.cpp.txt", texts),
    }


def _file(entry: Entry) -> Document:
    return {
        "type": "file",
        "bom-ref": entry.name,
        "name": entry.name,
        "hashes": _hashes(entry.sha256 or ""),
    }


def _library(one: Component, texts: set[str]) -> Document:
    version = {"version": one.version} if one.version else {}
    purl = {"purl": one.purl} if one.purl else {}
    # Packages of the page come in several versions.
    ref = one.purl if one.part == PAGE and one.purl else f"library/{one.name}"
    return {
        "type": "library",
        "bom-ref": ref,
        "name": one.name,
        **version,
        **_licences(one.license),
        **purl,
        **_text(one.text, texts),
    }


def _text(name: str | None, texts: set[str]) -> Document:
    """Where the licence's text is, if the executable carries it."""
    entry = f"licenses/{name}"
    return {"properties": _properties({"license-entry": entry})} if entry in texts else {}


def _licences(text: str | None) -> Document:
    """An SPDX identifier, an expression, or a name: the schema has a place for each."""
    if not text or not text.strip():
        return {}
    spdx = expression(text)
    if spdx is None:
        return {"licenses": [{"license": {"name": text.strip()}}]}
    if spdx in identifiers().values():
        return {"licenses": [{"license": {"id": spdx}}]}
    return {"licenses": [{"expression": spdx}]}


def _hashes(sha256: str) -> list[Document]:
    return [{"alg": "SHA-256", "content": sha256}]


def _properties(values: Mapping[str, object]) -> list[Document]:
    return [
        {"name": f"ingot:{key}", "value": str(value)}
        for key, value in sorted(values.items())
        if value not in (None, "")
    ]
