"""The bill of materials: what is in it, and that the same inputs give the same bytes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from ingot.bundle.manifest import SBOM
from ingot.bundle.reader import open_bundle
from ingot.console import NullProgress
from ingot.engine.image import RuntimeImage
from ingot.errors import UsageError
from ingot.recipe.build import Changes, build, repack
from ingot.recipe.gpumodule import GpuModule
from ingot.recipe.plan import Artefact, source_date
from ingot.recipe.sbom import Provenance, read_provenance
from ingot.toolchain.packages import sha256_of
from tests.golden.samples import (
    GPU_FACTS,
    VULKAN_FACTS,
    fake_runtime,
    write_lora,
    write_model,
    write_projector,
    write_split,
)

Document = dict[str, Any]


@pytest.fixture
def runtime(tmp_path: Path) -> RuntimeImage:
    return fake_runtime(tmp_path / "runtime")


@pytest.fixture
def artefact(tmp_path: Path) -> Artefact:
    return Artefact(model=write_model(tmp_path / "tiny.gguf"), output=tmp_path / "hello")


@pytest.fixture
def full(tmp_path: Path, artefact: Artefact) -> Artefact:
    licence = tmp_path / "licence"
    licence.write_text("terms\n")
    return replace(
        artefact,
        description="A \u2018full\u2019 one",
        mmproj=write_projector(tmp_path / "mm.gguf"),
        loras=(write_lora(tmp_path / "größe.gguf"),),
        draft=write_model(tmp_path / "draft.gguf"),
        license=licence,
    )


def gpu_modules(folder: Path) -> tuple[GpuModule, ...]:
    (folder / "licence.txt").write_text("terms\n")
    modules = []
    for name, facts in (("ggml-cuda.so", GPU_FACTS), ("ggml-vulkan.so", VULKAN_FACTS)):
        path = folder / name
        path.write_text(name)
        modules.append(GpuModule(path, sha256_of(path), facts, folder / "licence.txt"))
    return tuple(modules)


def made(artefact: Artefact, runtime: RuntimeImage, *modules: GpuModule) -> Document:
    build(artefact, runtime, NullProgress(), force=True, modules=modules)
    return sbom_of(artefact.output)


def sbom_of(path: Path) -> Document:
    """Checked against the schema."""
    with open_bundle(path) as bundle:
        (entry,) = bundle.manifest.with_role(SBOM)
        assert entry == bundle.manifest.entries[-1]
        raw = bundle.read(entry)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(raw.decode()) is None
    document = json.loads(raw)
    assert isinstance(document, dict)
    return document


def part(document: Document, ref: str) -> Document:
    (found,) = [one for one in document["components"] if one["bom-ref"] == ref]
    assert isinstance(found, dict)
    return found


def needs(document: Document, ref: str) -> list[str]:
    (found,) = [one["dependsOn"] for one in document["dependencies"] if one["ref"] == ref]
    assert isinstance(found, list)
    return found


def properties(component: Document) -> dict[str, str]:
    return {one["name"]: one["value"] for one in component["properties"]}


def test_every_role_of_weights_is_a_model(full: Artefact, runtime: RuntimeImage) -> None:
    document = made(full, runtime)
    models = [c for c in document["components"] if c["type"] == "machine-learning-model"]
    roles = {c["bom-ref"]: properties(c)["ingot:role"] for c in models}
    assert roles == {
        "models/tiny.gguf": "model",
        "models/mm.gguf": "projector",
        "models/größe.gguf": "lora",
        "models/draft.gguf": "draft",
    }
    assert needs(document, "models/größe.gguf") == ["models/tiny.gguf"]
    assert needs(document, "models/mm.gguf") == ["models/tiny.gguf"]
    assert part(document, "models/mm.gguf")["modelCard"]["modelParameters"] == {
        "modelArchitecture": "clip"
    }


def test_the_model_says_what_it_is_and_the_root_of_its_hash_tree(
    full: Artefact, runtime: RuntimeImage
) -> None:
    document = made(full, runtime)
    model = part(document, "models/tiny.gguf")
    leaves = hashlib.sha256(full.model.read_bytes()).digest()
    assert model["name"] == "Tiny"
    assert model["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    assert model["modelCard"]["modelParameters"] == {
        "modelArchitecture": "llama",
        "task": "text-generation",
    }
    assert "hashes" not in model and "externalReferences" not in model
    assert properties(model) == {
        "ingot:chunk-tree-sha256": hashlib.sha256(leaves).hexdigest(),
        "ingot:license-entry": "licenses/model.txt",
        "ingot:role": "model",
        "ingot:size": str(full.model.stat().st_size),
    }


@pytest.mark.parametrize(
    ("text", "licences"),
    [
        ("mit", [{"license": {"id": "MIT"}}]),
        ("mit or apache-2.0", [{"expression": "MIT OR Apache-2.0"}]),
        ("llama3.1", [{"license": {"name": "llama3.1"}}]),
        ("\x1b[31m", [{"license": {"name": "\x1b[31m"}}]),
        (" ", None),
    ],
)
def test_licences_are_identifiers_expressions_or_names(
    tmp_path: Path,
    artefact: Artefact,
    runtime: RuntimeImage,
    text: str,
    licences: list[Document] | None,
) -> None:
    write_model(artefact.model, general__license=text)
    assert part(made(artefact, runtime), "models/tiny.gguf").get("licenses") == licences


def test_provenance_goes_into_the_sbom_and_through_a_repack(
    full: Artefact, runtime: RuntimeImage
) -> None:
    lora = full.loras[0]
    known = {
        full.model: Provenance("https://example.org/a b.gguf", "ab" * 32, "LicenseRef-own"),
        lora: Provenance("hf://org/lora@c0ffee/größe.gguf"),
    }
    document = made(replace(full, provenance=known), runtime)
    model = part(document, "models/tiny.gguf")
    assert model["hashes"] == [{"alg": "SHA-256", "content": "ab" * 32}]
    assert model["licenses"] == [{"expression": "LicenseRef-own"}]
    assert model["externalReferences"] == [
        {"type": "distribution", "url": "https://example.org/a%20b.gguf"}
    ]
    adapter = part(document, "models/größe.gguf")
    assert adapter["externalReferences"][0]["url"] == "hf://org/lora@c0ffee/gr%C3%B6%C3%9Fe.gguf"
    repack(full.output, runtime, full.output, NullProgress())
    assert sbom_of(full.output) == document


def test_the_hash_of_one_part_is_not_that_of_the_joined_model(
    tmp_path: Path, artefact: Artefact, runtime: RuntimeImage
) -> None:
    first = write_split(tmp_path)[0]
    known = {first: Provenance("https://example.org/big.gguf", "ab" * 32)}
    document = made(replace(artefact, model=first, provenance=known), runtime)
    (model,) = [c for c in document["components"] if c["type"] == "machine-learning-model"]
    assert "hashes" not in model and "externalReferences" in model


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b'{"components": 1}',
        b'{"components": [1]}',
        b'{"components": [{"type": "machine-learning-model"}]}',
        b"[" * 100_000,
    ],
)
def test_an_sbom_that_is_none_tells_nothing(raw: bytes) -> None:
    assert read_provenance(raw) == {}


def test_values_of_another_kind_are_left_out() -> None:
    one = {
        "type": "machine-learning-model",
        "bom-ref": "m",
        "hashes": [{"content": "xyz"}],
        "externalReferences": [{"url": 7}],
        "licenses": [{"license": {"name": "a\nb"}}],
    }
    assert read_provenance(json.dumps({"components": [one]}).encode()) == {"m": Provenance()}


def test_program_engine_and_libraries_hang_together(
    artefact: Artefact, runtime: RuntimeImage
) -> None:
    document = made(artefact, runtime)
    program = runtime.program.read_bytes()
    content = hashlib.sha256(program).hexdigest()
    assert part(document, "program")["hashes"][0]["content"] == content
    engine = part(document, "engine")
    assert engine["purl"] == "pkg:github/ggml-org/llama.cpp@" + "0" * 40
    (package,) = engine["pedigree"]["ancestors"]
    assert package["purl"] == "pkg:pypi/llama-cpp-python@0"
    assert package["hashes"] == [{"alg": "SHA-256", "content": "0" * 64}]
    assert properties(engine) == {"ingot:license-entry": "licenses/llama.cpp.txt"}
    assert needs(document, "program") == ["engine", "library/libc++"]
    assert needs(document, "engine") == ["library/cpp-httplib"]
    assert part(document, "library/cpp-httplib")["version"] == "0.58.0"
    assert needs(document, "executable") == [
        "models/tiny.gguf",
        "modules/linux-x86_64/ggml-cpu-haswell.so",
        "modules/linux-x86_64/ggml-cpu-x64.so",
        "program",
        "sources/gpu.tar",
        "web-page",
    ]


def test_gpu_modules_bring_what_is_in_them(
    tmp_path: Path, artefact: Artefact, runtime: RuntimeImage
) -> None:
    document = made(artefact, runtime, *gpu_modules(tmp_path))
    cuda, vulkan = (f"modules/linux-x86_64/ggml-{kind}.so" for kind in ("cuda", "vulkan"))
    assert needs(document, cuda) == ["engine", "library/CUDA runtime (cudart_static)"]
    assert properties(part(document, cuda)) | {
        "ingot:gpu": "cuda",
        "ingot:gpu-key": GPU_FACTS.key,
        "ingot:toolkit": "13.0.88",
    } == properties(part(document, cuda))
    runtime_library = part(document, "library/CUDA runtime (cudart_static)")
    assert "version" not in runtime_library
    assert properties(runtime_library) == {"ingot:license-entry": "licenses/cuda-module.txt"}
    assert needs(document, vulkan) == [
        "engine",
        "library/SPIR-V headers",
        "library/Vulkan headers",
        "library/libc++",
    ]
    assert part(document, "library/Vulkan headers")["version"] == "1.4.309"


def test_what_is_left_out_is_not_listed(artefact: Artefact, runtime: RuntimeImage) -> None:
    page, sources = "pkg:npm/%40scope/page@1.0", "sources/gpu.tar"
    refs = {one["bom-ref"] for one in made(artefact, runtime)["components"]}
    assert {page, sources, "web-page"} <= refs
    bare = made(replace(artefact, ui=False, sources=False), runtime)
    refs = {one["bom-ref"] for one in bare["components"]}
    assert not refs & {page, sources, "web-page"}
    repack(artefact.output, runtime, artefact.output, NullProgress(), changes=Changes(ui=True))
    refs = {one["bom-ref"] for one in sbom_of(artefact.output)["components"]}
    assert page in refs and sources not in refs


def test_the_serial_number_follows_from_the_content(
    artefact: Artefact, runtime: RuntimeImage
) -> None:
    first = made(artefact, runtime)
    raw = artefact.output.read_bytes()
    assert made(artefact, runtime) == first
    assert artefact.output.read_bytes() == raw
    assert "timestamp" not in first["metadata"]
    assert "version" not in first["metadata"]["component"]
    other = made(replace(artefact, description="Another"), runtime)
    assert other["serialNumber"] != first["serialNumber"]


def test_the_time_is_that_of_source_date_epoch(
    artefact: Artefact, runtime: RuntimeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    dated = replace(artefact, source_date=source_date())
    assert made(dated, runtime)["metadata"]["timestamp"] == "2023-11-14T22:13:20Z"
    for wrong in ("yesterday", "-1", "9" * 30):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", wrong)
        with pytest.raises(UsageError) as caught:
            source_date()
        assert caught.value.code == "bad-source-date"


def test_version_and_homepage_are_the_executables(
    artefact: Artefact, runtime: RuntimeImage
) -> None:
    about = replace(artefact, version="1.2", homepage="https://example.org/a b")
    component = made(about, runtime)["metadata"]["component"]
    assert component["version"] == "1.2"
    assert component["externalReferences"] == [
        {"type": "website", "url": "https://example.org/a%20b"}
    ]
