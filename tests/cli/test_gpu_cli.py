"""``--gpu`` and ``ingot toolchain`` as a user meets them, on a machine without a CUDA toolkit."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ingot.__main__ import main
from ingot.toolchain import cuda, vulkan
from tests.golden.samples import seed_cache, write_model
from tests.unit.recipe.test_gpumodule import PROGRAM, SAY

NVCC = "#!/bin/sh\necho 'Cuda compilation tools, release 13.0, V13.0.88'\n"
Out = pytest.CaptureFixture[str]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "tiny.gguf")


@pytest.fixture(autouse=True)
def no_toolkit(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with nothing in it; returns its folder."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setattr(cuda, "_FOLDERS", ())
    monkeypatch.delenv("INGOT_GPU")
    for name in ("CUDA_PATH", "CUDA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(folder))
    seed_cache(PROGRAM.format(calls=tmp_path / "calls", rest=SAY).encode())
    for program in cache.glob("runtimes/*/program"):
        program.chmod(0o755)
    return folder


def _tool(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def test_without_a_toolkit_a_build_has_no_module_and_says_so_in_one_line(
    model: Path, tmp_path: Path, capsys: Out
) -> None:
    assert main(["build", str(model), "-o", str(tmp_path / "hello")]) == 0
    shown = capsys.readouterr()
    said = [line for line in shown.err.splitlines() if "GPU" in line]
    hint = "install one with: ingot toolchain install cuda"
    assert said == [f"no GPU module: there is no CUDA toolkit ({hint})"]
    assert "cuda" not in shown.out


def test_gpu_none_says_nothing(model: Path, tmp_path: Path, capsys: Out) -> None:
    assert main(["build", str(model), "-o", str(tmp_path / "hello"), "--gpu", "none"]) == 0
    assert "GPU" not in capsys.readouterr().err


def test_cuda_without_a_toolkit_is_a_toolchain_error(
    model: Path, tmp_path: Path, capsys: Out
) -> None:
    arguments = ["build", str(model), "-o", str(tmp_path / "hello"), "--gpu", "cuda:90", "--json"]
    assert main(arguments) == 6
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "no-cuda-toolkit"
    assert "ingot toolchain install cuda" in error["hint"]
    assert not (tmp_path / "hello").exists()


def test_comparing_on_a_gpu_without_a_toolkit_is_the_same_error(model: Path, capsys: Out) -> None:
    assert main(["compare", f"{model}:gpu=nvidia", str(model), "--json"]) == 6
    compared = capsys.readouterr().out
    assert main(["build", str(model), "--gpu", "cuda", "--json"]) == 6
    assert compared == capsys.readouterr().out
    assert json.loads(compared)["error"]["code"] == "no-cuda-toolkit"


def test_cuda_without_a_host_compiler_names_it(
    model: Path, tmp_path: Path, no_toolkit: Path, capsys: Out
) -> None:
    _tool(no_toolkit, "nvcc", NVCC)
    assert main(["build", str(model), "-o", str(tmp_path / "x"), "--gpu", "cuda"]) == 6
    assert "needs g++" in capsys.readouterr().err
    assert main(["build", str(model), "-o", str(tmp_path / "x")]) == 0
    assert "no GPU module: nvcc 13.0.88 needs g++" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["gpu", "cuda:", "cuda:9.0", "cuda:80,80"])
def test_a_bad_gpu_is_usage(model: Path, tmp_path: Path, capsys: Out, value: str) -> None:
    assert main(["build", str(model), "-o", str(tmp_path / "hello"), "--gpu", value]) == 2
    assert f"--gpu {value!r}" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--gpu", "cuda:90,80,ptx"], []])
def test_a_module_is_compiled_carried_and_shown(
    model: Path, tmp_path: Path, no_toolkit: Path, capsys: Out, arguments: list[str]
) -> None:
    _tool(no_toolkit, "nvcc", NVCC)
    _tool(no_toolkit, "g++", "#!/bin/sh\n")
    hello = tmp_path / "hello"
    assert main(["build", str(model), "-o", str(hello), *arguments]) == 0
    shown = capsys.readouterr()
    assert "gpu     cuda: sm_80, sm_90, PTX, 9 bytes" in shown.out
    assert "Compiling the CUDA module (sm_" in shown.err
    asked = (tmp_path / "calls").read_text().split()
    expected = 2 if arguments else 6
    assert asked.count("--arch") == expected
    assert main(["inspect", str(hello)]) == 0
    listed = capsys.readouterr().out
    assert "ggml-cuda.so (sm_80, sm_90, PTX)" in listed
    assert "sources/ (1 file)" in listed
    assert main(["verify", str(hello)]) == 0
    assert main(["repack", str(hello), "--no-sources", "--json"]) == 0
    capsys.readouterr()
    assert main(["inspect", str(hello), "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)["entries"]
    assert not [entry for entry in entries if entry["role"] == "source"]
    assert [entry["gpu"]["archs"] for entry in entries if "gpu" in entry] == [["80", "90"]]


def test_the_toolchain_lists_tools_and_what_compiles_cuda(no_toolkit: Path, capsys: Out) -> None:
    assert main(["toolchain"]) == 0
    shown = capsys.readouterr().out
    assert "ziglang" in shown
    assert "CUDA compiler in use: none: install one with: ingot toolchain install cuda" in shown
    _tool(no_toolkit, "nvcc", NVCC)
    assert main(["toolchain", "list", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["nvcc"]["nvcc"] == os.fspath(no_toolkit / "nvcc")
    assert "cuda" in [tool["name"] for tool in document["tools"]]


def test_vulkan_without_headers_and_apt_says_what_to_install(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Out
) -> None:
    monkeypatch.setattr(vulkan, "_SYSTEM", tmp_path / "nothing")
    monkeypatch.delenv("VULKAN_SDK", raising=False)
    monkeypatch.setenv("INGOT_GPU", "vulkan")
    assert main(["build", str(model), "-o", str(tmp_path / "hello"), "--json"]) == 6
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "no-vulkan-headers"
    assert "VULKAN_SDK" in error["hint"]
    assert not (tmp_path / "hello").exists()
    assert main(["toolchain"]) == 0
    shown = capsys.readouterr().out
    assert "Vulkan headers in use: none: --gpu vulkan fetches them" in shown


@pytest.mark.parametrize("words", [["install"], ["list", "cuda"], ["install", "zig"], ["remove"]])
def test_the_toolchain_takes_nothing_else(capsys: Out, words: list[str]) -> None:
    assert main(["toolchain", *words]) == 2


def test_doctor_says_what_compiles_gpu_modules(no_toolkit: Path, capsys: Out) -> None:
    main(["doctor"])
    assert "GPU modules: none are compiled, there is no CUDA toolkit" in capsys.readouterr().out
    _tool(no_toolkit, "nvcc", NVCC)
    main(["doctor"])
    assert "GPU modules: none are compiled: nvcc 13.0.88 needs g++" in capsys.readouterr().out
    _tool(no_toolkit, "g++", "")
    main(["doctor", "--json"])
    facts = json.loads(capsys.readouterr().out)["cuda"]
    assert facts["host"] == str(no_toolkit / "g++")
