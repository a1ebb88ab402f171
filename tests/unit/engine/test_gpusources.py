from __future__ import annotations

import re
from pathlib import Path

import pytest

from ingot.engine.gpusources import collect_sources
from ingot.errors import IntegrityError
from tests.conftest import REPOSITORY


def test_an_engine_without_a_cuda_backend_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "LICENSE").write_text("terms")
    with pytest.raises(IntegrityError) as caught:
        collect_sources(tmp_path, tmp_path / "native", tmp_path / "LICENSE")
    assert caught.value.code == "missing-gpu-sources"


def test_of_the_pinned_engine_every_included_file_is_there(engine_source: Path) -> None:
    found = collect_sources(engine_source, REPOSITORY / "native", REPOSITORY / "LICENSE")
    assert "cuda/ggml/src/ggml-cuda/ggml-cuda.cu" in found
    assert not [name for name in found if "template-instances" in name or "sycl" in name]
    names = {name.rpartition("/")[2] for name in found}
    for path in found.values():
        text = path.read_text("utf-8", "replace")
        for included in re.findall(r'#\s*include\s*"([^"]+)"', text):
            # What other vendors' builds use, and what the runtime writes for each module.
            others = ("ggml-musa/", "vendors/hip.h", "vendors/musa.h", "ingot_")
            if not included.startswith(others):
                assert included.rpartition("/")[2] in names, f"{path} includes {included}"
