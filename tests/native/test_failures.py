"""Every failure ends at once with one error line, one hint and one exit code, in every verb."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from ingot.engine.image import RuntimeImage
from tests.conftest import Run
from tests.models import DEMO, fixtures, ggufs
from tests.models.loadable import write

VERBS: dict[str, tuple[str, ...]] = {
    "complete": ("-p", "x", "-n", "1"),
    "serve": ("serve", "--port", "18471"),
    "embed": ("embed", "-p", "x"),
    "perplexity": ("perplexity", "-f", "TEXT", "-c", "64"),
    "bench": ("bench", "-p", "8", "-n", "1", "-r", "1"),
    "tokenize": ("tokenize", "-p", "x"),
    "chat": ("chat",),
    "trace": ("trace", "--job", "JOB"),
}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files that the verbs name: a text, and a job for trace."""
    folder = tmp_path_factory.mktemp("places")
    text, job = folder / "text.txt", folder / "job.json"
    text.write_text("def add(a, b):\n    return a + b\n" * 100)
    job.write_text('{"tokenize": "x"}')
    return {"TEXT": text, "JOB": job}


@pytest.fixture(scope="module")
def bad_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bad")
    return {
        "asserts": ggufs.with_number(folder / "asserts.gguf", "llama.block_count", 513),
        "unknown": ggufs.with_architecture(folder / "unknown.gguf", "zzzzz"),
    }


def assert_one_error(stderr: bytes, *, says: bytes = b"") -> None:
    """One error line with the reason, one hint, and nothing else but notes."""
    lines = [line for line in stderr.splitlines() if not line.startswith(b"note: ")]
    lines = [line for line in lines if b": http://" not in line]  # the address of serve
    assert len(lines) == 2, stderr
    assert lines[0].startswith(b"error: ") and says in lines[0], stderr
    assert lines[1].startswith(b"hint: "), stderr


@pytest.mark.parametrize("verb", VERBS)
def test_a_model_that_cannot_be_loaded(
    hello: Path, run: Run, bad_models: dict[str, Path], places: dict[str, Path], verb: str
) -> None:
    words = [os.fspath(places.get(word, word)) for word in VERBS[verb]]
    done = run(hello, *words, "-m", bad_models["unknown"], timeout=30)
    assert done.returncode == 3, done
    assert_one_error(done.stderr, says=b"unknown model architecture: 'zzzzz'")


# A vocabulary alone, which tokenize loads, has no layers.
@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "tokenize"])
def test_an_assertion_of_the_engine_ends_the_program_without_a_debugger(
    hello: Path,
    run: Run,
    bad_models: dict[str, Path],
    places: dict[str, Path],
    verb: str,
    tmp_path: Path,
) -> None:
    # A debugger that would never come back, as some do.
    gdb = tmp_path / "gdb"
    gdb.write_text("#!/bin/sh\nexec sleep 600\n")
    gdb.chmod(gdb.stat().st_mode | stat.S_IXUSR)
    words = [os.fspath(places.get(word, word)) for word in VERBS[verb]]
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = run(hello, *words, "-m", bad_models["asserts"], env=environment, timeout=60)
    assert done.returncode == 3, done
    assert_one_error(done.stderr, says=b"the engine gave up: ")


def test_a_failing_start_always_says_why(
    hello: Path, run: Run, bad_models: dict[str, Path]
) -> None:
    # The engine's log is written by a thread that the end of the program could overtake.
    for _ in range(8):
        done = run(hello, "-p", "x", "-n", "1", "-m", bad_models["unknown"])
        assert_one_error(done.stderr, says=b"unknown model architecture")


def test_the_engines_log_is_shown_with_v(
    hello: Path, run: Run, bad_models: dict[str, Path]
) -> None:
    done = run(hello, "-p", "x", "-m", bad_models["unknown"], "-v")
    lines = done.stderr.splitlines()
    assert len(lines) > 5 and lines[-2].startswith(b"error: ") and lines[-1].startswith(b"hint: ")


def test_a_prompt_longer_than_the_context(hello: Path, run: Run, places: dict[str, Path]) -> None:
    done = run(hello, "-f", places["TEXT"], "-c", "64")
    assert done.returncode == 3
    assert_one_error(done.stderr, says=b"the prompt is too long (")


def test_an_empty_prompt_file(hello: Path, run: Run, tmp_path: Path) -> None:
    empty = tmp_path / "empty.txt"
    empty.touch()
    done = run(hello, "-f", empty)
    assert done.returncode == 2
    assert_one_error(done.stderr, says=b"the prompt is empty")


@pytest.mark.parametrize(
    ("option", "suffix"),
    [
        ("-f", ""),
        ("--lora", ""),
        ("--lora-scaled", ":0.5"),
        ("--control-vector", ""),
        ("--mmproj", ""),
        ("-md", ""),
        ("--grammar-file", ""),
        ("--chat-template-file", ""),
    ],
)
def test_a_file_that_is_not_there(
    hello: Path, run: Run, tmp_path: Path, option: str, suffix: str
) -> None:
    words = ["-n", "1"] if option == "-f" else ["-p", "x", "-n", "1"]
    if option in {"--mmproj", "-md", "--chat-template-file"}:
        words = ["serve"]
    done = run(hello, *words, option, f"{tmp_path}/gone{suffix}")
    assert done.returncode == 3, done
    assert_one_error(done.stderr, says=b"gone: No such file or directory")


def test_a_later_part_of_a_split_model_and_an_adapter_for_another(
    hello: Path, run: Run, tmp_path: Path
) -> None:
    parts = fixtures.split_model(tmp_path)
    done = run(hello, "-p", "x", "-m", parts[1])
    assert done.returncode == 3
    assert_one_error(done.stderr, says=b"the engine cannot load this model")
    done = run(hello, "-p", "x", "--lora", DEMO)
    assert done.returncode == 3
    assert_one_error(done.stderr)


def test_too_little_memory_is_said_with_a_remedy(hello: Path, run: Run) -> None:
    # Address space for the program and the weights, and not for this context.
    limited = ["bash", "-c", 'ulimit -v 600000; exec "$@"', "-"]
    done = run(*limited, hello, "-p", "x", "-n", "1", "-t", "1", "-c", "200000")
    assert done.returncode == 3, done
    assert_one_error(done.stderr)
    assert b"-c " in done.stderr


def test_an_executable_that_may_be_run_and_not_read(hello: Path, run: Run, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become a user who may not read a file of its own")
    tmp_path.chmod(0o755)
    copy = tmp_path / "hello"
    copy.write_bytes(hello.read_bytes())
    copy.chmod(0o711)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]
    for folder in tmp_path.parents:  # pytest's folders are this user's alone
        if not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
    done = run(*nobody, copy, "info")
    assert done.returncode == 3, done
    assert_one_error(done.stderr, says=b"cannot read itself: Permission denied")


def test_gpu_layers_without_a_gpu_point_to_recompile(hello: Path, run: Run) -> None:
    done = run(hello, "-p", "x", "-n", "1", "-ngl", "99", "--gpu", "none")
    assert done.returncode == 0
    assert done.stderr.startswith(b"note: -ngl has no effect") and b"--recompile" in done.stderr
    assert run(hello, "-p", "x", "-n", "1", "-ngl", "0", "--gpu", "none").stderr == b""


@pytest.mark.parametrize("words", [("-dev", "CUDA0"), ("-ot", "x=CUDA0")])
def test_devices_that_are_not_there_point_to_recompile(
    hello: Path, run: Run, words: tuple[str, str]
) -> None:
    done = run(hello, "-p", "a", "-n", "1", *words)
    assert done.returncode == 2 and done.stdout == b"", done
    assert_one_error(done.stderr, says=words[0].encode())
    assert b"--recompile" in done.stderr.splitlines()[1]


def test_extract_onto_a_full_disk_leaves_nothing(hello: Path, run: Run, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    script = 'mount -t tmpfs -o size=6m none "$2"; "$1" extract -o "$2"; echo $?; '
    script += 'find "$2" -mindepth 1'
    done = run("unshare", "-m", "bash", "-c", script, "-", hello, tmp_path)
    assert done.stdout == b"3\n", done
    assert_one_error(done.stderr, says=b": No space left on device")


def test_a_bare_runtime_says_which_model_it_lacks(runtime_image: RuntimeImage, run: Run) -> None:
    done = run(runtime_image.program, "serve")
    assert done.returncode == 2
    assert_one_error(done.stderr, says=b"carries no model")


def test_a_crash_is_not_silent(hello: Path) -> None:
    # The signal itself, as a wild pointer would raise it, while a prompt is read.
    with subprocess.Popen([hello, "-p", "-"], stdin=-1, stderr=-1, stdout=-1) as process:
        assert process.stdin and process.stderr
        while b"hello" not in Path(f"/proc/{process.pid}/cmdline").read_bytes():
            pass
        mask = 0
        while not mask & (1 << 10):  # until it catches SIGSEGV
            status = Path(f"/proc/{process.pid}/status").read_text()
            mask = int(status.split("SigCgt:")[1].split()[0], 16)
        process.send_signal(11)
        _, stderr = process.communicate()
    assert process.returncode == -11
    assert_one_error(stderr, says=b"this program crashed")


def test_reasons_stand_on_one_line(hello: Path, run: Run) -> None:
    done = run(hello, "serve", "--no-jinja", "--chat-template", "nonsense", timeout=30)
    assert done.returncode == 2, done
    assert_one_error(done.stderr, says=b"chat template is not supported: nonsense")
    assert b"\\n" not in done.stderr
    done = run(hello, "-p", "x", "-hf", "nonsense")
    assert done.returncode == 2, done
    assert_one_error(done.stderr, says=b"USER/MODEL:QUANT, not 'nonsense'")
    done = run(hello, "-p", "x", "-mu", "http://127.0.0.1:9/x.gguf", timeout=60)
    assert done.returncode == 3, done
    assert_one_error(done.stderr, says=b"Download 'http://127.0.0.1:9/x.gguf' failed")


def test_a_draft_that_cannot_be_loaded_says_why(
    hello: Path, run: Run, bad_models: dict[str, Path]
) -> None:
    done = run(hello, "serve", "--port", "18472", "-md", bad_models["unknown"], timeout=30)
    assert done.returncode == 3, done
    assert_one_error(done.stderr, says=b"unknown model architecture: 'zzzzz'")


@pytest.mark.parametrize("option", ["--control-vector", "--lora", "--lora-scaled"])
def test_an_adapter_that_is_no_gguf(
    hello: Path, run: Run, places: dict[str, Path], option: str
) -> None:
    value = f"{places['TEXT']}:0.5" if option == "--lora-scaled" else places["TEXT"]
    done = run(hello, "-p", "x", option, value)
    assert done.returncode == 3, done
    assert_one_error(done.stderr, says=b"text.txt is not a GGUF")


@pytest.mark.parametrize("verb", ["complete", "perplexity"])
def test_a_model_that_ends_every_text(
    hello: Path, run: Run, places: dict[str, Path], tmp_path: Path, verb: str
) -> None:
    model = write(tmp_path / "ends.gguf", tokenizer__ggml__add_eos_token=True)
    words = [os.fspath(places.get(word, word)) for word in VERBS[verb]]
    done = run(hello, *words, "-m", model)
    assert done.returncode == 3, done
    assert_one_error(done.stderr, says=b"an end token after every text")
    remedy = ("--override-kv", "tokenizer.ggml.add_eos_token=bool:false")
    assert run(hello, *words, "-m", model, *remedy).returncode == 0
