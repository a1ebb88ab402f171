"""Sentence vectors of a sentence-transformers BERT, by transformers. Run as a script.

Reads {"checkpoint": folder, "sentences": [...]} from stdin and writes a list of vectors to
stdout. It stands alone, because it runs where the tests' own modules are not importable.
"""

from __future__ import annotations

import json
import sys
from typing import TextIO

import torch
from transformers import AutoModel, AutoTokenizer


def main(stdin: TextIO, stdout: TextIO) -> None:
    """Answer one question: mean over the last hidden states, then L2 normalisation."""
    question = json.load(stdin)
    tokenizer = AutoTokenizer.from_pretrained(question["checkpoint"])
    model = AutoModel.from_pretrained(question["checkpoint"], dtype=torch.float32).eval()
    vectors = []
    with torch.inference_mode():
        for sentence in question["sentences"]:
            tokens = tokenizer(sentence, padding=False, truncation=False, return_tensors="pt")
            mean = model(**tokens).last_hidden_state[0].mean(dim=0)
            vectors.append(torch.nn.functional.normalize(mean, dim=0).tolist())
    json.dump(vectors, stdout)


if __name__ == "__main__":
    main(sys.stdin, sys.stdout)
