"""Values of options: what the engine would crash on is refused, a value is never read as a flag."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from ingot.errors import UsageError
from tests.conftest import Cast, Run
from tests.models import DEMO
from tests.native.test_failures import assert_one_error
from tests.serving import announced, serving

BAD = [
    ("-np", "0"),
    ("-np", "9999"),
    ("-b", "0"),
    ("-ub", "0"),
    ("-c", "-5"),
    ("-c", "abc"),
    ("-c", "99999999999"),
    ("-n", "-5"),
    ("-n", "7x"),
    ("-t", "100000"),
    ("-ngl", "some"),
    ("-gan", "0"),
    ("--mirostat", "5"),
    ("--repeat-last-n", "2000000000"),
    ("--temp", "nan"),
    ("--top-p", "2"),
    ("--seed", "many"),
    ("-fa", "maybe"),
    ("-ctk", "q9_9"),
    ("--rope-scaling", "what"),
    ("-gaw", "3"),
    ("--grammar", "root ::= ("),
    ("--grammar", "root ::= root"),
    ("--samplers", "top_k;nonsense"),
    ("--sampler-seq", "!"),
    ("--override-kv", "llama.block_count=int:x"),
    ("-j", '{"type": "nonsense"}'),
]


@pytest.mark.parametrize(("option", "value"), BAD)
def test_a_bad_value_names_the_option_and_what_it_takes(
    hello: Path, run: Run, option: str, value: str
) -> None:
    more = ("-gan", "2") if option == "-gaw" else ()
    done = run(hello, "-p", "x", *more, option, value, timeout=30)
    assert done.returncode == 2, done
    assert_one_error(done.stderr, says=option.encode())
    assert b"\\n" not in done.stderr and value.encode() in done.stderr.splitlines()[0]


def test_a_grammar_of_a_file_that_cannot_be_parsed(hello: Path, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "no.gbnf"
    path.write_text("no grammar\n")
    done = run(hello, "-p", "x", "-n", "1", "--grammar-file", path)
    assert done.returncode == 2, done
    assert_one_error(done.stderr, says=b"the grammar cannot be parsed: expecting")


@pytest.mark.parametrize("verb", ["serve", "chat", "embed", "perplexity"])
def test_every_verb_refuses_alike(hello: Path, run: Run, verb: str) -> None:
    done = run(hello, verb, "-b", "0", timeout=30)
    assert done.returncode == 2, done
    assert_one_error(done.stderr, says=b"-b takes a whole number that is at least 1, not '0'")


@pytest.mark.parametrize(
    ("option", "value"),
    [("--threads-http", "5000"), ("--port", "99999"), ("-sps", "7"), ("--models-max", "-4"),
     ("--api-prefix", "v"), ("--api-prefix", "/v/"), ("--ui-config", "{"), ("-b", "3"),
     ("-ub", "1"), ("--mcp-servers-json", "{"), ("--tools", "all,nonsense")],
)  # fmt: skip
def test_values_of_the_server(hello: Path, run: Run, option: str, value: str) -> None:
    done = run(hello, "serve", option, value, timeout=30)
    assert done.returncode == 2, done
    assert_one_error(done.stderr, says=option.encode())


@pytest.mark.parametrize(
    ("option", "value"), [("-b", "0"), ("-t", "1,0"), ("-r", "0"), ("-p", "x")]
)
def test_values_of_the_benchmark(hello: Path, run: Run, option: str, value: str) -> None:
    done = run(hello, "bench", option, value, timeout=30)
    assert done.returncode == 2 and done.stdout == b"", done
    assert_one_error(done.stderr, says=f"{option} takes a whole number".encode())


def test_a_small_context_is_no_assertion(hello: Path, run: Run) -> None:
    done = run(hello, "-p", "x", "-n", "1", "-c", "1", timeout=30)
    assert done.returncode in (0, 2, 3), done
    assert b"gave up" not in done.stderr


def test_a_server_pools_with_an_odd_context(hello: Path) -> None:
    # The engine's own graph of the largest micro-batch fails an assertion for it.
    with serving(hello, "-t", "1", "-c", "257"):
        pass


def test_an_unknown_option_names_the_nearest(hello: Path, run: Run) -> None:
    done = run(hello, "-p", "x", "--tempp", "0.25")
    assert done.returncode == 2 and b"did you mean --temp?" in done.stderr
    done = run(hello, "-p", "x", "--temp=0.25")
    assert done.returncode == 2 and b"hint: write --temp 0.25" in done.stderr


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--gpu=none"], "write --gpu none"),
        (["--no-warmup=1"], "write --no-warmup"),
        (["--deterministic=1"], "write --deterministic"),
        (["--temp"], "help COMMAND says more"),
    ],
)
def test_a_misused_option_says_how_it_is_written(
    hello: Path, run: Run, words: list[str], hint: str
) -> None:
    done = run(hello, "-p", "x", *words)
    assert done.returncode == 2, done
    assert_one_error(done.stderr)
    assert done.stderr.decode().splitlines()[1].startswith(f"hint: {hint}")


def test_the_authors_own_values_are_judged_at_build(cast: Cast) -> None:
    with pytest.raises(UsageError, match="-b 0: it takes a whole number that is at least 1"):
        cast(DEMO, args=("-b", "0"))


@pytest.mark.parametrize("text", ["--help", "--version", "-v", "--json", "--gpu", "--server"])
def test_a_prompt_may_read_like_a_flag(hello: Path, run: Run, text: str) -> None:
    done = run(hello, "-p", text, "-n", "2", "--temp", "0")
    assert done.returncode == 0, done
    assert done.stderr == b"" and b"usage:" not in done.stdout and b"llama.cpp" not in done.stdout
    same = run(hello, "-p", "-", "-n", "2", "--temp", "0", stdin=text.encode())
    assert done.stdout == same.stdout


def test_texts_of_other_verbs_may_read_like_flags(hello: Path, run: Run) -> None:
    plain = run(hello, "tokenize", "--ids", "-p", "--ids")
    piped = run(hello, "tokenize", "--ids", stdin=b"--ids")
    assert plain.returncode == 0 and plain.stdout == piped.stdout != b""
    vectors = run(hello, "embed", "-p", "--json", "-p", "-v")
    assert vectors.returncode == 0 and len(vectors.stdout.splitlines()) == 2, vectors
    assert vectors.stderr == b""


def test_a_file_with_a_nul_byte_is_no_prompt(hello: Path, run: Run, tmp_path: Path) -> None:
    text = tmp_path / "nul.txt"
    text.write_bytes(b"The capital\0 of France")
    done = run(hello, "-f", text, "-n", "1")
    assert done.returncode == 3
    assert_one_error(done.stderr, says=b"nul.txt is not text: it holds a NUL byte")


def test_a_byte_order_mark_is_no_part_of_a_prompt(hello: Path, run: Run, tmp_path: Path) -> None:
    greedy = ("-n", "4", "--temp", "0")
    plain, marked = tmp_path / "plain.txt", tmp_path / "marked.txt"
    plain.write_bytes(b"def add(a, b):\n")
    marked.write_bytes(b"\xef\xbb\xbfdef add(a, b):\n")
    expected = run(hello, "-f", plain, *greedy).stdout
    assert expected == run(hello, "-f", marked, *greedy).stdout != b""
    assert expected == run(hello, *greedy, stdin=marked.read_bytes()).stdout


def test_lines_to_embed_may_end_as_on_windows(hello: Path, run: Run) -> None:
    unix = run(hello, "embed", stdin=b"hello\nworld\n")
    windows = run(hello, "embed", stdin=b"\xef\xbb\xbfhello\r\nworld\r\n")
    assert unix.returncode == 0 and unix.stdout == windows.stdout != b""


def test_a_blank_line_to_embed_is_refused_before_any_vector(hello: Path, run: Run) -> None:
    done = run(hello, "embed", stdin=b"hello\n\nworld\n")
    assert done.returncode == 3 and done.stdout == b""
    assert_one_error(done.stderr, says=b"text 2 is empty")


@pytest.mark.parametrize(
    "variable", ["LLAMA_ARG_CTX_SIZE", "LLAMA_ARG_TEMPERATURE", "LLAMA_ARG_FLASH_ATTN"]
)
def test_a_bad_variable_is_named(hello: Path, run: Run, variable: str) -> None:
    done = run(hello, "-p", "x", "-n", "1", env={**os.environ, variable: "abc"})
    assert done.returncode == 2, done
    assert_one_error(done.stderr, says=variable.encode())


def test_empty_variables_count_as_unset(hello: Path, run: Run) -> None:
    empty = dict.fromkeys(("LLAMA_ARG_CTX_SIZE", "LLAMA_ARG_THREADS", "LLAMA_ARG_HF_REPO"), "")
    done = run(hello, "-p", "x", "-n", "1", env={**os.environ, **empty})
    assert done.returncode == 0 and done.stderr == b"", done


def test_an_option_wins_over_its_variable_in_silence(hello: Path, run: Run) -> None:
    greedy = ("-p", "x", "-n", "4", "--temp", "0")
    done = run(hello, *greedy, env={**os.environ, "LLAMA_ARG_TEMPERATURE": "abc"})
    assert done.returncode == 0 and done.stderr == b""
    assert done.stdout == run(hello, *greedy).stdout


@pytest.mark.parametrize(
    "variable",
    ["MODEL_URL", "HF_REPO", "HF_FILE", "DOCKER_REPO", "MODEL", "MMPROJ", "MMPROJ_URL",
     "SPEC_DRAFT_HF_REPO", "SPEC_DRAFT_MODEL"],
)  # fmt: skip
def test_another_programs_model_is_not_fetched(hello: Path, run: Run, variable: str) -> None:
    greedy = ("-p", "x", "-n", "2", "--temp", "0")
    foreign = {
        f"LLAMA_ARG_{variable}": "http://127.0.0.1:9/x.gguf",
        "HF_ENDPOINT": "http://127.0.0.1:9",
    }
    done = run(hello, *greedy, env={**os.environ, **foreign}, timeout=30)
    assert done.returncode == 0, done
    assert done.stdout == run(hello, *greedy).stdout
    assert done.stderr.startswith(b"note: LLAMA_ARG_" + variable.encode() + b" ")


def test_another_programs_settings_name_no_model_here(
    hello: Path, run: Run, tmp_path: Path
) -> None:
    settings = tmp_path / "llama.cpp" / "config.ini"
    settings.parent.mkdir()
    environment = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path)}
    settings.write_text("hf-repo = nobody/nothing\nmodel-url = http://127.0.0.1:9/x.gguf\n")
    done = run(hello, "-p", "x", "-n", "1", env=environment, timeout=30)
    assert done.returncode == 0 and done.stderr == b"", done
    settings.write_text("ctx-size = abc\n")
    done = run(hello, "-p", "x", "-n", "1", env=environment)
    assert done.returncode == 2
    assert_one_error(done.stderr, says=b"config.ini: -c takes a whole number")


@pytest.mark.parametrize(
    "line",
    ["mmproj-url = http://{}/x", "spec-draft-hf = a/b", "model-draft = gone", "mmproj = gone"],
)
def test_another_programs_settings_name_no_second_model_here(
    hello: Path, tmp_path: Path, line: str
) -> None:
    settings = tmp_path / "llama.cpp" / "config.ini"
    settings.parent.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        place = f"127.0.0.1:{listener.getsockname()[1]}"
        settings.write_text(line.format(place) + "\n")
        environment = {"XDG_CONFIG_HOME": str(tmp_path), "HF_ENDPOINT": f"http://{place}"}
        with announced(hello, "serve", "--port", "0", "-t", "1", env=environment) as server:
            assert server.before == []
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_an_empty_key_in_settings_lets_nobody_in(hello: Path, run: Run, tmp_path: Path) -> None:
    settings = tmp_path / "llama.cpp" / "config.ini"
    settings.parent.mkdir()
    settings.write_text("api-key =\n")
    done = run(hello, "serve", env={**os.environ, "XDG_CONFIG_HOME": str(tmp_path)}, timeout=30)
    assert done.returncode == 2, done
    assert_one_error(done.stderr, says=b"the API key is empty")


@pytest.mark.parametrize("template", ["{{", "nonsense", "{% for m in messages %}{{ m.content }}"])
def test_completion_needs_no_template_of_the_environment(
    hello: Path, run: Run, template: str
) -> None:
    environment = {**os.environ, "LLAMA_ARG_CHAT_TEMPLATE": template}
    done = run(hello, "-p", "x", "-n", "1", env=environment)
    assert done.returncode == 0 and done.stderr == b"", done


def test_a_port_of_vertex_counts_there_only(hello: Path, run: Run) -> None:
    environment = {"AIP_HTTP_PORT": "many"}
    with announced(hello, "serve", "--port", "0", "-t", "1", env=environment):
        pass
    environment["AIP_MODE"] = "PREDICTION"
    done = run(hello, "serve", env={**os.environ, **environment}, timeout=30)
    assert done.returncode == 2, done
    assert_one_error(done.stderr, says=b"AIP_HTTP_PORT takes a whole number from 0 to 65535")
