from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from ingot import __version__
from ingot.__main__ import main
from ingot.cli import VERBS, root
from tests.conftest import REPOSITORY, Ingot


def _command(verb: str) -> click.Command:
    command = root.get_command(click.Context(root), verb)
    assert command is not None
    return command


def test_version(ingot: Ingot) -> None:
    done = ingot("--version")
    assert (done.returncode, done.stdout) == (0, f"ingot {__version__}\n")


def test_help_lists_every_verb_without_importing_any() -> None:
    script = (
        "import sys; from ingot.__main__ import main; main(['--help'])\n"
        "loaded = [m for m in sys.modules if m.startswith(('ingot.commands', 'ingot.engine',"
        " 'ingot.bundle', 'isal', 'subprocess'))]\n"
        "assert not loaded, loaded"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for verb, summary in VERBS.items():
        assert verb in done.stdout
        assert summary in done.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_says_in_its_help_what_the_list_says(verb: str) -> None:
    assert _command(verb).get_short_help_str(200) == VERBS[verb]


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_takes_json(verb: str) -> None:
    assert any("--json" in parameter.opts for parameter in _command(verb).params)


def test_an_unknown_verb_is_usage_with_a_guess(ingot: Ingot) -> None:
    done = ingot("bild")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Did you mean 'build'?" in done.stderr
    assert "hint: see 'ingot --help'" in done.stderr


def test_an_unknown_option_is_usage(ingot: Ingot) -> None:
    done = ingot("doctor", "--nonsense")
    assert done.returncode == 2
    assert "hint: see 'ingot doctor --help'" in done.stderr


def test_an_error_with_json_is_one_document_on_stdout(ingot: Ingot) -> None:
    done = ingot("doctor", "--nonsense", "--json")
    assert done.returncode == 2
    assert done.stderr == ""
    error = json.loads(done.stdout)["error"]
    assert (error["code"], error["exit_code"]) == ("usage", 2)


def test_errors_have_no_colour_without_a_terminal(ingot: Ingot) -> None:
    assert "\x1b" not in ingot("bild").stderr


def test_a_closed_stdout_is_not_an_error() -> None:
    command = f"{sys.executable} -m ingot completion bash | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_is_130(number: signal.Signals) -> None:
    script = (
        "import os, signal, sys, click\n"
        "from ingot import __main__, cli\n"
        f"body = lambda: os.kill(os.getpid(), {int(number)})\n"
        "cli.LazyGroup.get_command = lambda *_: click.Command('doctor', callback=body)\n"
        "sys.exit(__main__.main(['doctor']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


def test_main_takes_arguments_and_returns_the_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "fish"]) == 0
    assert "complete --no-files --command ingot" in capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_our_variable(ingot: Ingot, shell: str) -> None:
    assert f"_INGOT_COMPLETE={shell}_complete" in ingot("completion", shell).stdout
    document = json.loads(ingot("completion", shell, "--json").stdout)
    assert document["shell"] == shell


def test_completion_knows_the_verbs(ingot: Ingot) -> None:
    asked = {"_INGOT_COMPLETE": "bash_complete", "COMP_WORDS": "ingot do", "COMP_CWORD": "1"}
    assert ingot(env=asked).stdout.split() == ["plain,doctor"]


def test_the_bootstrap_scripts_are_posix_and_executable() -> None:
    for name in ("ingot", "dev"):
        path = REPOSITORY / name
        assert os.access(path, os.X_OK)
        assert path.read_text().startswith("#!/bin/sh\n")
        subprocess.run(["sh", "-n", path], check=True)


def test_the_bootstrap_says_so_when_no_python_is_new_enough(tmp_path: Path) -> None:
    for tool in ("dirname", "readlink", "sh"):
        found = subprocess.run(["which", tool], capture_output=True, text=True, check=True)
        (tmp_path / tool).symlink_to(found.stdout.strip())
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", REPOSITORY / "ingot", "--version"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 6
    assert "Python 3.11 or newer is needed" in done.stderr


def test_dev_without_a_known_verb_says_what_there_is() -> None:
    done = subprocess.run(
        [REPOSITORY / "dev", "nonsense"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "test" in done.stderr
