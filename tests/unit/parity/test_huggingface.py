"""Which folders are models that may be opened at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ingot.errors import InputError, UsageError
from ingot.parity.huggingface import open_folder
from ingot.parity.spec import Spec

LLAMA = {"architectures": ["LlamaForCausalLM"], "vocab_size": 4096}
WHOLE = ("model.safetensors", "tokenizer.json")
EMPTY = b"\x02\0\0\0\0\0\0\0{}"  # safetensors without a tensor


def _folder(path: Path, config: object, *files: str) -> Spec:
    path.mkdir()
    if config is not None:
        (path / "config.json").write_text(json.dumps(config))
    for name in files:
        (path / name).write_bytes(EMPTY if name.endswith(".safetensors") else b"")
    return Spec("m", path=path)


def test_a_model_that_writes_and_one_that_gives_vectors(tmp_path: Path) -> None:
    side = open_folder(_folder(tmp_path / "a", LLAMA, *WHOLE, "old.bin"))
    assert (side.vocabulary, side.embeds) == (4096, False)
    bert = {"architectures": ["BertModel"], "vocab_size": 30522}
    assert open_folder(_folder(tmp_path / "b", bert, "model.safetensors", "vocab.txt")).embeds
    assert open_folder(_folder(tmp_path / "c", LLAMA, *WHOLE, "modules.json")).embeds


def test_the_vocabulary_of_a_model_of_texts_and_images(tmp_path: Path) -> None:
    config = {
        "architectures": ["Gemma3ForConditionalGeneration"],
        "text_config": {"vocab_size": 262208},
    }
    side = open_folder(_folder(tmp_path / "m", config, *WHOLE))
    assert (side.vocabulary, side.embeds) == (262208, False)


@pytest.mark.parametrize(
    ("config", "files", "code"),
    [
        (None, WHOLE, "no-checkpoint"),
        ([], WHOLE, "bad-checkpoint"),
        ({}, WHOLE, "bad-checkpoint"),
        (LLAMA, ("tokenizer.json",), "missing-shard"),
        (LLAMA, ("tokenizer.json", "other.safetensors"), "missing-shard"),
        (LLAMA, ("tokenizer.json", "consolidated.00.pth"), "pickled-weights"),
        (LLAMA, ("tokenizer.json", "model.pkl"), "pickled-weights"),
        (LLAMA, ("model.safetensors", "tokenizer_config.json"), "no-tokenizer"),
        ({**LLAMA, "auto_map": {"AutoModel": "m.M"}}, WHOLE, "needs-remote-code"),
        ({**LLAMA, "transformers_weights": "adapter_model.bin"}, WHOLE, "bad-checkpoint"),
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
