"""What an end user types, on the real executable of the demo model."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

from ingot.engine.image import RuntimeImage
from tests.conftest import Cast, Run
from tests.models import DEMO, fixtures

PROMPT = "def add(a, b):"


def test_prompt_prints_only_the_generated_text(hello: Path, run: Run) -> None:
    done = run(hello, "-p", PROMPT, "-n", "8", "--temp", "0")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() and PROMPT.encode() not in done.stdout
    assert b"end of text" not in done.stdout
    assert done.stderr == b""


def test_piped_prompt_equals_the_prompt_given_as_an_argument(hello: Path, run: Run) -> None:
    given = run(hello, "-p", PROMPT, "-n", "8", "--temp", "0")
    piped = run(hello, "-p", "-", "-n", "8", "--temp", "0", stdin=PROMPT.encode() + b"\n")
    bare = run(hello, "-n", "8", "--temp", "0", stdin=PROMPT.encode() + b"\n")
    assert piped.returncode == bare.returncode == 0, piped.stderr + bare.stderr
    assert given.stdout == piped.stdout == bare.stdout != b""


def test_end_of_text_is_not_printed(hello: Path, run: Run) -> None:
    # </s> is made likely enough to be sampled at once by a logit bias
    done = run(hello, "-p", PROMPT, "-n", "8", "--temp", "0", "--logit-bias", "2+100")
    assert done.returncode == 0
    assert done.stdout == b""


def test_greedy_text_equals_that_of_the_plain_gguf(hello: Path, run: Run) -> None:
    mine = run(hello, "-p", PROMPT, "-n", "24", "--temp", "0")
    plain = run(hello, "-m", DEMO, "-p", PROMPT, "-n", "24", "--temp", "0")
    assert plain.returncode == 0, plain.stderr
    assert mine.stdout == plain.stdout != b""


def test_llamafile_spelling_completes(hello: Path, run: Run) -> None:
    spelled = run(hello, "--cli", "-p", PROMPT, "-n", "4", "--temp", "0")
    assert (
        spelled.stdout
        == run(hello, "complete", "-p", PROMPT, "-n", "4", "--temp", "0").stdout
        != b""
    )


def test_baked_defaults_apply_and_yield_to_the_user(cast: Cast, hello: Path, run: Run) -> None:
    baked = cast(DEMO, args=("-n", "3", "--temp", "0"))
    three = run(baked, "-p", PROMPT).stdout
    assert three == run(hello, "-p", PROMPT, "-n", "3", "--temp", "0").stdout != b""
    done = run(baked, "-p", PROMPT, "--predict", "12")
    assert done.stdout.startswith(three) and len(done.stdout) > len(three)
    assert done.stderr == b""


def test_help_speaks_of_this_model(hello: Path, run: Run) -> None:
    text = run(hello, "--help").stdout.decode()
    for word in (
        "PyStdlib 7M",
        "llama",
        "6.8 M parameters",
        "context 1024",
        "licence",
        "./hello",
        "serve",
    ):
        assert word.lower() in text.lower(), word


def test_help_of_a_verb_is_the_engines(hello: Path, run: Run) -> None:
    for verb, flag in (
        ("serve", "--api-key"),
        ("complete", "--temp"),
        ("bench", "--n-gen"),
        ("embed", "--pooling"),
    ):
        done = run(hello, "help", verb)
        assert flag in (done.stdout + done.stderr).decode(), verb


def test_info_tells_facts_and_json_is_the_manifest(hello: Path, run: Run) -> None:
    text = run(hello, "info").stdout.decode()
    assert re.search(r"parameters\s+6\.8 M", text) and "ggml-cpu-haswell.so" in text
    document = json.loads(run(hello, "info", "--json").stdout)
    assert document["file_size"] == hello.stat().st_size
    assert document["model"]["architecture"] == "llama"


def test_verify_accepts_an_untouched_executable(hello: Path, run: Run) -> None:
    assert run(hello, "verify").returncode == 0
    report = json.loads(run(hello, "verify", "--json").stdout)
    assert report["ok"] is True and report["damaged"] == []


def test_verify_names_the_damaged_part_of_the_weights(
    hello: Path, run: Run, tmp_path: Path
) -> None:
    entry = next(
        e
        for e in json.loads(run(hello, "info", "--json").stdout)["entries"]
        if e["role"] == "model"
    )
    copy = Path(shutil.copy(hello, tmp_path / "hello"))
    at = 9_000_000
    with copy.open("r+b") as file:
        file.seek(entry["offset"] + at)
        byte = file.read(1)
        file.seek(entry["offset"] + at)
        file.write(bytes([byte[0] ^ 1]))
    done = run(copy, "verify", "--json")
    assert done.returncode == 1
    chunk = 4 << 20
    assert json.loads(done.stdout)["damaged"] == [
        {"entry": entry["name"], "from": at // chunk * chunk, "to": (at // chunk + 1) * chunk}
    ]


def test_extract_gives_back_the_model(hello: Path, run: Run, tmp_path: Path) -> None:
    done = run(hello, "extract", "-o", tmp_path, "models/pystdlib-7m.gguf")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "models/pystdlib-7m.gguf").read_bytes() == DEMO.read_bytes()
    again = run(hello, "extract", "-o", tmp_path, "models/pystdlib-7m.gguf")
    assert again.returncode == 3 and b"exists" in again.stderr


def test_extract_everything_and_inflate_it(hello: Path, run: Run, tmp_path: Path) -> None:
    assert run(hello, "extract", "-o", tmp_path).returncode == 0
    assert b"<html" in (tmp_path / "ui/index.html").read_bytes()


def test_licenses_include_the_engines(hello: Path, run: Run) -> None:
    text = run(hello, "licenses").stdout.decode()
    assert "The ggml authors" in text


def test_sbom_is_the_entry_and_names_the_model_and_the_engine(
    hello: Path, run: Run, tmp_path: Path
) -> None:
    done = run(hello, "sbom")
    assert done.returncode == 0 and done.stderr == b""
    assert run(hello, "extract", "-o", tmp_path, "sbom.json").returncode == 0
    assert (tmp_path / "sbom.json").read_bytes() == done.stdout
    document = json.loads(done.stdout)
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    names = {one["name"]: one for one in document["components"]}
    assert names["PyStdlib 7M"]["type"] == "machine-learning-model"
    assert {"llama.cpp", "cpp-httplib", "libc++", "svelte", "ggml-cpu-haswell.so"} <= names.keys()


def test_every_licence_text_belongs_to_a_component_of_the_sbom(hello: Path, run: Run) -> None:
    entries = json.loads(run(hello, "info", "--json").stdout)["entries"]
    carried = {entry["name"] for entry in entries if entry["role"] == "license"}
    components = json.loads(run(hello, "sbom").stdout)["components"]
    named = {
        one["value"]
        for component in components
        for one in component.get("properties", [])
        if one["name"] == "ingot:license-entry"
    }
    assert named == carried
    assert all("licenses" in one for one in components if one["bom-ref"].startswith("library/"))


def test_a_bare_runtime_has_no_sbom(runtime_image: RuntimeImage, run: Run) -> None:
    done = run(runtime_image.program, "sbom")
    assert done.returncode == 3 and b"bare runtime" in done.stderr


def test_tokenize_gives_ids_and_pieces(hello: Path, run: Run) -> None:
    tokens = json.loads(run(hello, "tokenize", "-p", "def f(x):", "--json").stdout)["tokens"]
    assert tokens[0]["piece"] == "<s>"
    assert "".join(t["piece"] for t in tokens[1:]).strip() == "def f(x):"
    ids = run(hello, "tokenize", "-p", "def f(x):", "--ids", "--no-bos").stdout.split()
    assert [int(i) for i in ids] == [t["id"] for t in tokens[1:]]


def test_perplexity_of_the_demo_model_on_its_source(hello: Path, run: Run, tmp_path: Path) -> None:
    # A standard-library module of this Python: the kind of text that the model was trained on.
    text = tmp_path / "text.py"
    text.write_bytes(Path(json.__file__).with_name("decoder.py").read_bytes())
    done = run(hello, "perplexity", "-f", text, "-c", "256")
    found = re.search(rb"PPL = ([0-9.]+)", done.stdout + done.stderr)
    assert found, done.stderr
    assert 2 < float(found.group(1)) < 25


def test_bench_measures_the_carried_model(hello: Path, run: Run) -> None:
    done = run(hello, "bench", "-p", "16", "-n", "4", "-r", "1", "-o", "json")
    rows = json.loads(done.stdout)
    assert {row["n_gen"] for row in rows} == {0, 4}
    assert all(row["avg_ts"] > 0 for row in rows)


def test_unknown_command_and_flag_are_usage_errors(hello: Path, run: Run) -> None:
    done = run(hello, "sing")
    assert (
        done.returncode == 2
        and b"unknown command 'sing'" in done.stderr
        and b"hint:" in done.stderr
    )
    for words in (["-p", "x"], ["serve"], ["embed", "-p", "x"], ["perplexity"]):
        done = run(hello, *words, "--no-such-flag")
        assert done.returncode == 2 and b"unknown option '--no-such-flag'" in done.stderr, words
        done = run(hello, *words, "--threads")
        assert done.returncode == 2 and b"--threads needs a value" in done.stderr, words


def test_another_model_that_is_none_is_an_input_error(
    hello: Path, run: Run, tmp_path: Path
) -> None:
    done = run(hello, "-m", tmp_path / "gone.gguf", "-p", "x")
    assert done.returncode == 3 and b"cannot open" in done.stderr and b"gone.gguf" in done.stderr
    text = tmp_path / "text.gguf"
    text.write_text("hello")
    done = run(hello, "-m", text, "-p", "x")
    assert done.returncode == 3 and b"is not a GGUF" in done.stderr


def test_lora_changes_the_text_and_needs_no_file(
    cast: Cast, hello: Path, run: Run, tmp_path: Path
) -> None:
    adapter = fixtures.lora_adapter(tmp_path / "adapter.gguf")
    adapted = cast(DEMO, loras=(adapter,))
    adapter.unlink()
    mine = run(adapted, "-p", PROMPT, "-n", "24", "--temp", "0")
    assert mine.returncode == 0, mine.stderr
    assert mine.stdout != run(hello, "-p", PROMPT, "-n", "24", "--temp", "0").stdout


def test_several_loras_all_count(cast: Cast, run: Run, tmp_path: Path) -> None:
    one = fixtures.lora_adapter(tmp_path / "one.gguf")
    two = Path(shutil.copy(one, tmp_path / "two.gguf"))
    greedy = ("-p", PROMPT, "-n", "24", "--temp", "0")
    once = run(cast(DEMO, loras=(one,)), *greedy)
    twice = run(cast(DEMO, loras=(one, two)), *greedy)
    assert once.returncode == twice.returncode == 0, twice.stderr
    assert once.stdout != twice.stdout


def test_extract_refuses_damaged_weights_and_leaves_nothing(
    hello: Path, run: Run, tmp_path: Path
) -> None:
    entries = json.loads(run(hello, "info", "--json").stdout)["entries"]
    entry = next(e for e in entries if e["role"] == "model")
    copy = Path(shutil.copy(hello, tmp_path / "hello"))
    with copy.open("r+b") as file:
        file.seek(entry["offset"] + 5_000_000)
        file.write(b"damaged")
    done = run(copy, "extract", "-o", tmp_path / "out", entry["name"])
    assert done.returncode == 5 and b"is damaged" in done.stderr
    assert not (tmp_path / "out" / entry["name"]).exists()


def test_help_of_a_bare_runtime_needs_no_model(runtime_image: RuntimeImage, run: Run) -> None:
    assert b"--temp" in run(runtime_image.program, "help", "complete").stdout
    done = run(runtime_image.program, "-p", "x")
    assert done.returncode == 2 and b"-m MODEL.gguf" in done.stderr


def test_a_full_standard_output_is_an_error(hello: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([hello, "info"], stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 3 and b"standard output" in done.stderr
