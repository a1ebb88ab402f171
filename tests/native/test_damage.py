"""An executable that lost or changed bytes says so at start and refuses, whatever it was asked."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.conftest import Run


@pytest.mark.parametrize("kept", [0.55, 0.7, 0.9, 0.999])
def test_a_truncated_executable_refuses(hello: Path, run: Run, tmp_path: Path, kept: float) -> None:
    copy = Path(shutil.copy(hello, tmp_path / "hello"))
    os.truncate(copy, int(copy.stat().st_size * kept))
    for arguments in (("info",), ("-p", "x"), ("serve",)):
        done = run(copy, *arguments)
        assert done.returncode == 5, (kept, arguments, done.stderr)
        assert b"truncated: " in done.stderr and b"hint: " in done.stderr and done.stdout == b""
        assert f" of {hello.stat().st_size} bytes".encode() in done.stderr


def test_one_byte_less_or_more_refuses(hello: Path, run: Run, tmp_path: Path) -> None:
    shorter = Path(shutil.copy(hello, tmp_path / "shorter"))
    os.truncate(shorter, shorter.stat().st_size - 1)
    done = run(shorter, "info")
    assert done.returncode == 5 and b"truncated" in done.stderr
    longer = Path(shutil.copy(hello, tmp_path / "longer"))
    with longer.open("ab") as file:
        file.write(b"\0")
    done = run(longer, "info")
    assert done.returncode == 5 and b"should have" in done.stderr


def test_an_altered_manifest_refuses(hello: Path, run: Run, tmp_path: Path) -> None:
    copy = Path(shutil.copy(hello, tmp_path / "hello"))
    content = copy.read_bytes()
    name = json.loads(run(hello, "info", "--json").stdout)["entries"][0]["name"].encode()
    at = content.index(b'"name":"' + name)
    with copy.open("r+b") as file:
        file.seek(at + 8)
        file.write(b"M")
    done = run(copy, "info")
    assert done.returncode == 5 and b"altered" in done.stderr


def test_a_damaged_tail_refuses(hello: Path, run: Run, tmp_path: Path) -> None:
    size = hello.stat().st_size
    for back in (2, 40, 80, 100, 129):
        copy = Path(shutil.copy(hello, tmp_path / "hello"))
        with copy.open("r+b") as file:
            file.seek(size - back)
            file.write(b"\x7f")
        assert run(copy, "info").returncode == 5, back
