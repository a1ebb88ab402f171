"""A Llama of random weights in Hugging Face's layout, with a tokenizer of its own. Run as a script.

It stands alone, because it runs in an environment with torch, transformers and sentencepiece. A
converter and an engine that agree with transformers about it have the mathematics right; that no
training made it robust to errors makes it a strict witness.

    python tiny_llama.py TEXT FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import sentencepiece
import torch
from transformers import LlamaConfig, LlamaForCausalLM

TOKENS = 400
TOKENIZER = {
    "tokenizer_class": "LlamaTokenizer",
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "add_bos_token": True,
    "add_eos_token": False,
    "legacy": False,
}


def main(text: Path, folder: Path) -> None:
    """Write the folder: config.json, model.safetensors, tokenizer.model, tokenizer_config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    sentencepiece.SentencePieceTrainer.train(
        input=str(text),
        model_prefix=str(folder / "tokenizer"),
        model_type="bpe",
        vocab_size=TOKENS,
        byte_fallback=True,
        minloglevel=2,
    )
    (folder / "tokenizer.vocab").unlink()
    (folder / "tokenizer_config.json").write_text(json.dumps(TOKENIZER))
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=TOKENS,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        # Three times the usual: guesses would be too even to tell right from wrong.
        initializer_range=0.06,
        bos_token_id=1,
        eos_token_id=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder, safe_serialization=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
