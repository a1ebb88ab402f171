from __future__ import annotations

import os
import subprocess
from pathlib import Path

from ingot.toolchain.packages import Package, Target
from ingot.toolchain.zig import Zig, cuda_host, wrapper_script, wrappers

TARGET = Target("linux-x86_64", "x86_64-linux-gnu.2.28", Path("t.cmake"))


def test_compilers_name_the_target_and_archivers_do_not() -> None:
    script = wrapper_script(Path("/z/zig"), "cc", TARGET, Path("/c ache"))
    assert 'exec /z/zig cc -target x86_64-linux-gnu.2.28 "$@"' in script
    assert "ZIG_GLOBAL_CACHE_DIR='/c ache'" in script
    assert 'exec /z/zig ar "$@"' in wrapper_script(Path("/z/zig"), "ar", TARGET, Path("/c"))


def test_wrappers_pass_arguments_on_and_keep_their_place(cache: Path, tmp_path: Path) -> None:
    program = tmp_path / "ziglang" / "zig"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$ZIG_LOCAL_CACHE_DIR"\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    zig = Zig(Package("ziglang", "1", "f", 1, "0" * 64), tmp_path)
    folder = wrappers(zig, TARGET)
    said = subprocess.run(
        [folder / "c++", "a b", "-O3"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert said == [str(cache / "zig"), "c++", "-target", TARGET.zig, "a b", "-O3"]
    assert wrappers(zig, TARGET) == folder
    assert sorted(os.listdir(folder)) == ["ar", "c++", "cc", "ranlib"]


def test_nvccs_host_compiler_has_new_headers_and_links_for_our_glibc(
    cache: Path, tmp_path: Path
) -> None:
    program = tmp_path / "ziglang" / "zig"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$@"\n')
    program.chmod(0o755)
    host = cuda_host(Zig(Package("ziglang", "1", "f", 1, "0" * 64), tmp_path), TARGET)

    def said(*words: str) -> str:
        done = subprocess.run([host, *words], capture_output=True, text=True, check=True)
        return done.stdout

    assert "-target x86_64-linux-gnu.2.42 " in said("-E", "x.cpp")
    assert "-target x86_64-linux-gnu.2.42 " in said("x.cpp", "-c", "-o", "x.o")
    assert "-target x86_64-linux-gnu.2.28 " in said("-shared", "x.o", "-o", "x.so")
