from __future__ import annotations

import io
import re
import tarfile
from pathlib import Path

import pytest

from ingot.engine.gpusources import archive, collect_sources
from ingot.errors import IntegrityError
from tests.conftest import REPOSITORY

LINUX, MAC = "linux-x86_64", "macos-aarch64"


def test_an_engine_without_a_cuda_backend_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "LICENSE").write_text("terms")
    with pytest.raises(IntegrityError) as caught:
        collect_sources(tmp_path, tmp_path / "native", tmp_path / "LICENSE", LINUX)
    assert caught.value.code == "missing-gpu-sources"


@pytest.mark.parametrize("target", [LINUX, MAC])
def test_of_the_pinned_engine_every_included_file_is_there(
    engine_source: Path, target: str
) -> None:
    found = collect_sources(engine_source, REPOSITORY / "native", REPOSITORY / "LICENSE", target)
    assert not [name for name in found if "template-instances" in name or "sycl" in name]
    names = {name.rpartition("/")[2] for name in found}
    for path in found.values():
        text = path.read_text("utf-8", "replace")
        for included in re.findall(r'(?m)^\s*#\s*(?:include|import)\s*"([^"]+)"', text):
            # What other vendors' builds use, and what the runtime writes for each module.
            others = ("ggml-musa/", "vendors/musa.h", "ingot_")
            if not included.startswith(others):
                assert included.rpartition("/")[2] in names, f"{path} includes {included}"


def test_a_target_carries_what_its_machines_can_compile(engine_source: Path) -> None:
    def names(target: str) -> str:
        native, licence = REPOSITORY / "native", REPOSITORY / "LICENSE"
        return " ".join(collect_sources(engine_source, native, licence, target))

    linux, mac = names(LINUX), names(MAC)
    assert "ggml-cuda/ggml-cuda.cu" in linux and "ggml-cuda/vendors/hip.h" in linux
    assert "ggml-metal" not in linux
    assert "ggml-metal/kernels/mul_mm.metal" in mac and "ggml-metal/ggml-metal.cpp" in mac
    assert "ggml-cuda/" not in mac
    assert names("windows-x86_64") == ""
    for carried in (linux, mac):
        assert {"ggml/LICENSE", "ingot/LICENSE", "ingot/entry.cc"} <= set(carried.split())


def test_the_archive_has_nothing_of_this_machine_in_it(tmp_path: Path) -> None:
    def make(folder: Path, order: tuple[str, ...]) -> bytes:
        files = {}
        for name in order:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
            path.chmod(0o700)
            files[name] = path
        return archive(files)

    first = make(tmp_path / "a", ("ggml/x.cu", "a" * 60 + "/" + "b" * 60, "ingot/y.cu"))
    assert first == make(tmp_path / "b", ("ingot/y.cu", "a" * 60 + "/" + "b" * 60, "ggml/x.cu"))
    with tarfile.open(fileobj=io.BytesIO(first)) as tar:
        members = tar.getmembers()
        assert [m.name for m in members] == sorted(m.name for m in members)
        facts = {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode, m.type) for m in members}
        assert facts == {(0, 0, 0, "", "", 0o644, tarfile.REGTYPE)}
