"""``--gpu`` and ``ingot toolchain`` as a user meets them, on a machine without a CUDA toolkit."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ingot.__main__ import main
from ingot.toolchain import cuda, vulkan
from tests.golden.samples import seed_cache, write_model
from tests.unit.recipe.test_gpumodule import program

NVCC = "#!/bin/sh\necho 'Cuda compilation tools, release 13.0, V13.0.88'\n"
Out = pytest.CaptureFixture[str]
SLEEP = shutil.which("sleep")
FAIL = "echo 'error: the disk is full: no room' >&2; echo 'hint: make room' >&2; exit 6"


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
    _seed(cache, program(tmp_path / "calls"))
    return folder


def _seed(cache: Path, text: str) -> None:
    """Make ``text`` the runtime's program."""
    shutil.rmtree(cache / "runtimes", ignore_errors=True)
    seed_cache(text.encode())
    for path in cache.glob("runtimes/*/program"):
        path.chmod(0o755)


@pytest.fixture
def toolkit(no_toolkit: Path) -> Path:
    """The same with an nvcc and a g++ that are found and do nothing."""
    _tool(no_toolkit, "nvcc", NVCC)
    _tool(no_toolkit, "g++", "#!/bin/sh\n")
    return no_toolkit


def _modules(executable: Path, capsys: Out) -> list[list[str]]:
    """The architectures of its GPU modules; its CPU part is sound, or this fails."""
    capsys.readouterr()
    assert main(["verify", str(executable)]) == 0
    capsys.readouterr()
    assert main(["inspect", str(executable), "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)["entries"]
    return [entry["gpu"]["archs"] for entry in entries if "gpu" in entry]


def _tool(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def test_a_plain_build_compiles_nothing_and_notes_what_cuda_would_add(
    model: Path, tmp_path: Path, toolkit: Path, capsys: Out, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1})
    assert main(["build", str(model), "-o", str(tmp_path / "hello")]) == 0
    shown = capsys.readouterr()
    said = [line for line in shown.err.splitlines() if "cuda" in line]
    covers = "sm_75, sm_80, sm_86, sm_89, sm_90, sm_120, PTX"
    takes = "compiling its 2 units here takes about 11 min on 2 cores"
    assert said == [f"note: --gpu cuda adds a module for NVIDIA GPUs ({covers}); {takes}"]
    assert "Compiling" not in shown.err
    assert not _recompiled(tmp_path)
    assert _modules(tmp_path / "hello", capsys) == []


def test_the_note_says_when_the_module_is_there_already(
    model: Path, tmp_path: Path, toolkit: Path, capsys: Out
) -> None:
    assert main(["build", str(model), "-o", str(tmp_path / "a"), "--gpu", "cuda"]) == 0
    capsys.readouterr()
    assert main(["build", str(model), "-o", str(tmp_path / "b")]) == 0
    assert "; it was compiled here before\n" in capsys.readouterr().err


def test_without_a_toolkit_a_plain_build_says_nothing_of_gpus(
    model: Path, tmp_path: Path, capsys: Out
) -> None:
    assert main(["build", str(model), "-o", str(tmp_path / "hello")]) == 0
    shown = capsys.readouterr()
    assert "cuda" not in (shown.out + shown.err).lower()


def test_gpu_none_says_nothing(model: Path, tmp_path: Path, capsys: Out) -> None:
    assert main(["build", str(model), "-o", str(tmp_path / "hello"), "--gpu", "none"]) == 0
    assert "GPU" not in capsys.readouterr().err


def _recompiled(tmp_path: Path) -> bool:
    calls = tmp_path / "calls"
    return calls.exists() and "recompile" in calls.read_text()


def test_cuda_without_a_toolkit_is_an_executable_for_the_cpu_and_exit_code_7(
    model: Path, tmp_path: Path, capsys: Out
) -> None:
    hello = tmp_path / "hello"
    assert main(["build", str(model), "-o", str(hello), "--gpu", "cuda:90"]) == 7
    shown = capsys.readouterr()
    assert shown.out.startswith(f"{hello}  ")
    error, hint = shown.err.splitlines()[-2:]
    assert error == f"error: {hello} is built without its CUDA module: there is no CUDA toolkit"
    assert "ingot toolchain install cuda" in hint
    assert "the executable is there and runs without it" in hint
    assert _modules(hello, capsys) == []


def test_in_json_that_is_one_document(model: Path, tmp_path: Path, capsys: Out) -> None:
    hello = tmp_path / "hello"
    assert main(["build", str(model), "-o", str(hello), "--gpu", "cuda:90", "--json"]) == 7
    document = json.loads(capsys.readouterr().out)
    assert document["output"] == str(hello)
    assert document["size"] == hello.stat().st_size
    assert (document["error"]["code"], document["error"]["exit_code"]) == ("no-cuda-toolkit", 7)


@pytest.mark.parametrize("options", [["--json"], []])
def test_required_it_is_the_error_of_the_cause_and_nothing_is_written(
    model: Path, tmp_path: Path, capsys: Out, options: list[str]
) -> None:
    arguments = ["build", str(model), "-o", str(tmp_path / "hello"), "--gpu", "cuda"]
    assert main([*arguments, "--require-gpu", *options]) == 6
    assert "there is no CUDA toolkit" in "".join(capsys.readouterr())
    assert not (tmp_path / "hello").exists()


def test_a_required_module_that_does_not_compile_leaves_nothing(
    model: Path, tmp_path: Path, toolkit: Path, cache: Path, capsys: Out
) -> None:
    _seed(cache, program(tmp_path / "calls", FAIL))
    arguments = ["build", str(model), "-o", str(tmp_path / "hello"), "--gpu", "cuda:90"]
    assert main([*arguments, "--require-gpu"]) == 6
    assert not (tmp_path / "hello").exists()


@pytest.mark.parametrize("arguments", [[], ["--gpu", "none"]])
def test_what_is_required_must_be_named(
    model: Path, tmp_path: Path, capsys: Out, arguments: list[str]
) -> None:
    hello = tmp_path / "hello"
    assert main(["build", str(model), "-o", str(hello), "--require-gpu", *arguments]) == 2
    assert "hint: name one, for example: --gpu cuda" in capsys.readouterr().err
    assert not hello.exists()


def test_a_module_that_does_not_compile_costs_the_module_alone(
    model: Path, tmp_path: Path, toolkit: Path, cache: Path, capsys: Out
) -> None:
    _seed(cache, program(tmp_path / "calls", FAIL))
    hello = tmp_path / "hello"
    assert main(["build", str(model), "-o", str(hello), "--gpu", "cuda:90"]) == 7
    shown = capsys.readouterr().err
    assert f"error: {hello} is built without its CUDA module: " in shown
    assert "the disk is full: no room" in shown
    assert "hint: make room" in shown
    assert _modules(hello, capsys) == []
    _seed(cache, program(tmp_path / "calls"))
    assert main(["build", str(model), "-o", str(hello), "--gpu", "cuda:90", "--force"]) == 0
    assert _modules(hello, capsys) == [["80", "90"]]


def test_a_module_that_cannot_be_made_does_not_cost_another(
    model: Path, tmp_path: Path, toolkit: Path, capsys: Out, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vulkan, "_SYSTEM", tmp_path / "nothing")
    monkeypatch.delenv("VULKAN_SDK", raising=False)
    hello = tmp_path / "hello"
    assert main(["build", str(model), "-o", str(hello), "--gpu", "cuda:80,90+vulkan"]) == 7
    shown = capsys.readouterr()
    assert "gpu     cuda: sm_80, sm_90, PTX" in shown.out
    assert f"error: {hello} is built without its Vulkan module: there are no Vulkan" in shown.err
    assert _modules(hello, capsys) == [["80", "90"]]
    (toolkit / "nvcc").unlink()
    assert main(["build", str(model), "-o", str(hello), "--gpu", "cuda+vulkan", "--force"]) == 7
    said = capsys.readouterr().err
    assert "its CUDA module: there is no CUDA toolkit; and without its Vulkan module: " in said


def test_a_cache_that_cannot_be_written_costs_the_module_alone(
    model: Path, tmp_path: Path, toolkit: Path, cache: Path, capsys: Out
) -> None:
    (cache / "gpu-modules").write_text("not a folder")
    hello = tmp_path / "hello"
    assert main(["build", str(model), "-o", str(hello), "--gpu", "cuda:90"]) == 7
    assert f"error: {hello} is built without its CUDA module: " in capsys.readouterr().err
    assert _modules(hello, capsys) == []


def test_the_executable_for_the_cpu_is_there_while_the_module_is_compiled(
    model: Path, tmp_path: Path, toolkit: Path, cache: Path, capsys: Out
) -> None:
    _seed(cache, program(tmp_path / "calls", f": > {tmp_path}/begun; {SLEEP} 120"))
    hello = tmp_path / "hello"
    words = [sys.executable, "-P", "-m", "ingot", "build", str(model), "-o", str(hello)]
    with subprocess.Popen([*words, "--gpu", "cuda:90"], stderr=subprocess.PIPE, text=True) as build:
        await_file(tmp_path / "begun", build)
        assert hello.stat().st_size > model.stat().st_size
        build.send_signal(signal.SIGINT)
        _out, said = build.communicate(timeout=60)
    assert build.returncode == 130
    assert f"{hello} is there and runs on the CPU" in said
    assert _modules(hello, capsys) == []


def await_file(path: Path, process: subprocess.Popen[str]) -> None:
    while not path.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def test_cuda_alone_is_for_the_gpus_of_this_machine(
    model: Path, tmp_path: Path, toolkit: Path, cache: Path, capsys: Out
) -> None:
    _seed(cache, program(tmp_path / "calls", archs=["61", "90"], here=True))
    assert main(["build", str(model), "-o", str(tmp_path / "hello"), "--gpu", "cuda"]) == 0
    assert "Compiling the CUDA module (sm_61, sm_90, PTX)" in capsys.readouterr().err
    asked = (tmp_path / "calls").read_text().split()
    assert [asked[at + 1] for at, word in enumerate(asked) if word == "--arch"] == ["61", "90"]


def test_in_a_recipe_cuda_is_the_same_on_every_machine(
    model: Path, tmp_path: Path, toolkit: Path, cache: Path, capsys: Out
) -> None:
    _seed(cache, program(tmp_path / "calls", archs=["61", "90"], here=True))
    recipe = tmp_path / "r.toml"
    recipe.write_text('metadata.name = "hello"\nmodel.main = "tiny.gguf"\ngpu.modules = ["cuda"]\n')
    assert main(["build", str(recipe), "-o", str(tmp_path / "out")]) == 0
    assert "(sm_75, sm_80, sm_86, sm_89, sm_90, sm_120, PTX)" in capsys.readouterr().err
    (toolkit / "nvcc").unlink()
    assert main(["build", str(recipe), "-o", str(tmp_path / "cpu")]) == 7
    assert _modules(tmp_path / "cpu" / "hello", capsys) == []
    assert main(["build", str(recipe), "-o", str(tmp_path / "no"), "--require-gpu"]) == 6
    assert not (tmp_path / "no" / "hello").exists()


def test_comparing_on_a_gpu_without_a_toolkit_is_the_same_error(model: Path, capsys: Out) -> None:
    assert main(["compare", f"{model}:gpu=nvidia", str(model), "--json"]) == 6
    compared = capsys.readouterr().out
    assert main(["build", str(model), "--gpu", "cuda", "--require-gpu", "--json"]) == 6
    assert compared == capsys.readouterr().out
    assert json.loads(compared)["error"]["code"] == "no-cuda-toolkit"


def test_cuda_without_a_host_compiler_names_it(
    model: Path, tmp_path: Path, no_toolkit: Path, capsys: Out
) -> None:
    _tool(no_toolkit, "nvcc", NVCC)
    assert main(["build", str(model), "-o", str(tmp_path / "x"), "--gpu", "cuda"]) == 7
    assert "needs g++" in capsys.readouterr().err
    assert main(["build", str(model), "-o", str(tmp_path / "y")]) == 0
    assert "g++" not in capsys.readouterr().err


@pytest.mark.parametrize("value", ["gpu", "cuda:", "cuda:9.0", "cuda:80,80"])
def test_a_bad_gpu_is_usage(model: Path, tmp_path: Path, capsys: Out, value: str) -> None:
    assert main(["build", str(model), "-o", str(tmp_path / "hello"), "--gpu", value]) == 2
    assert f"--gpu {value!r}" in capsys.readouterr().err


@pytest.mark.parametrize("words", ["cuda:90,80,ptx", "cuda"])
def test_a_module_is_compiled_carried_and_shown(
    model: Path, tmp_path: Path, toolkit: Path, capsys: Out, words: str
) -> None:
    hello = tmp_path / "hello"
    assert main(["build", str(model), "-o", str(hello), "--gpu", words]) == 0
    shown = capsys.readouterr()
    assert "gpu     cuda: sm_80, sm_90, PTX, 9 bytes" in shown.out
    assert "Compiling the CUDA module (sm_" in shown.err
    asked = (tmp_path / "calls").read_text().split()
    expected = 6 if words == "cuda" else 2
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
    arguments = ["build", str(model), "-o", str(tmp_path / "hello"), "--json"]
    assert main([*arguments, "--require-gpu"]) == 6
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "no-vulkan-headers"
    assert "VULKAN_SDK" in error["hint"]
    assert not (tmp_path / "hello").exists()
    assert main(arguments) == 7
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "no-vulkan-headers"
    assert _modules(tmp_path / "hello", capsys) == []
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
