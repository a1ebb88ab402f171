"""Chat templates that are blank, broken, or swallow what the user says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Cast, Run
from tests.models.templates import with_template
from tests.serving import announced, post

TALK = {
    "messages": [
        {"role": "user", "content": "import os"},
        {"role": "assistant", "content": "import re"},
        {"role": "user", "content": "import sys"},
    ]
}
BROKEN = {
    "cannot be parsed": "{% for m in messages %}{{ m.content }",
    "raises": "{{ raise_exception('only with tools') }}",
    "says nothing": "{{ bos_token }}",
    "recurses": "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}",
    "nests": "{{ " + "(" * 20_000 + "1" + ")" * 20_000 + " }}",
    "leaves out the user": "{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}"
    "{% endif %}{% endfor %}begin",
}


@pytest.mark.parametrize("blank", ["", "\n", " \t\n"])
def test_a_blank_template_is_none(blank: str, cast: Cast, tmp_path: Path) -> None:
    exe = cast(with_template(tmp_path / "blank.gguf", blank))
    with announced(exe, "serve", "--port", "0", "-t", "1") as server:
        prompt = post(f"{server.url}/apply-template", TALK)["prompt"]
    assert prompt == "import os\nimport re\nimport sys\n"


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_template_stops_chats_only(
    fault: str, cast: Cast, run: Run, tmp_path: Path
) -> None:
    exe = cast(with_template(tmp_path / "broken.gguf", BROKEN[fault]))
    greedy = ("-n", "4", "--temp", "0", "-t", "1")
    assert run(exe, "-p", "import ", *greedy).stdout
    assert run(exe, "embed", "-p", "import os", "-t", "1").returncode == 0
    for verb in ("serve", "chat"):
        done = run(exe, verb, "--port", "0", "-t", "1")
        lines = done.stderr.decode().splitlines()
        assert done.returncode == 3
        assert [line.split(":")[0] for line in lines] == ["error", "hint"], lines
        assert "chat template cannot be used: " in lines[0] and "--chat-template" in lines[1]
    words = ("serve", "--port", "0", "-t", "1", "--chat-template", "chatml")
    with announced(exe, *words) as server:
        assert "import sys" in post(f"{server.url}/apply-template", TALK)["prompt"]
