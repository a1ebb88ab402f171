"""Which folders are models that may be opened at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ingot.errors import InputError, UsageError
from ingot.parity.huggingface import open_folder
from ingot.parity.spec import Spec


def _folder(path: Path, config: object, *files: str) -> Spec:
    path.mkdir()
    if config is not None:
        (path / "config.json").write_text(json.dumps(config))
    for name in files:
        (path / name).touch()
    return Spec("m", path=path)


LLAMA = {"architectures": ["LlamaForCausalLM"], "vocab_size": 4096}


def test_a_model_that_writes_and_one_that_gives_vectors(tmp_path: Path) -> None:
    side = open_folder(_folder(tmp_path / "a", LLAMA, "model.safetensors", "old.bin"))
    assert (side.vocabulary, side.embeds) == (4096, False)
    bert = {"architectures": ["BertModel"], "vocab_size": 30522}
    assert open_folder(_folder(tmp_path / "b", bert, "model.safetensors")).embeds
    pooled = _folder(tmp_path / "c", LLAMA, "model.safetensors", "modules.json")
    assert open_folder(pooled).embeds


@pytest.mark.parametrize(
    ("config", "files", "code"),
    [
        (None, ("model.safetensors",), "no-model-in-folder"),
        ([], ("model.safetensors",), "no-model-in-folder"),
        (LLAMA, (), "no-model-in-folder"),
        (LLAMA, ("pytorch_model.bin",), "pickled-weights"),
        (LLAMA, ("consolidated.00.pth",), "pickled-weights"),
        ({**LLAMA, "auto_map": {"AutoModel": "m.M"}}, ("m.safetensors",), "needs-remote-code"),
    ],
)
def test_what_is_refused(tmp_path: Path, config: object, files: tuple[str, ...], code: str) -> None:
    with pytest.raises(InputError) as caught:
        open_folder(_folder(tmp_path / "m", config, *files))
    assert caught.value.code == code
    assert caught.value.hint


def test_a_folder_has_no_modules(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="transformers"):
        open_folder(Spec("m:cpu=haswell", path=tmp_path, cpu="haswell"))
