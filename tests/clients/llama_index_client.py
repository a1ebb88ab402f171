"""Embeds the texts given as JSON on stdin by LlamaIndex's client for llamafile; JSON on stdout.

Run by test_llama_index.py as a program of its own, with the packages of llama_index.txt.
"""

from __future__ import annotations

import asyncio
import json
import sys

from llama_index.embeddings.llamafile import LlamafileEmbedding


def main() -> None:
    """Call all that the client offers: one text and many, a query, and without blocking."""
    asked = json.load(sys.stdin)
    client = LlamafileEmbedding(base_url=asked["url"])
    texts = asked["texts"]
    answer = {
        "one by one": [client.get_text_embedding(text) for text in texts],
        "together": client.get_text_embedding_batch(texts),
        "queries": [client.get_query_embedding(text) for text in texts],
        "asynchronous": asyncio.run(client.aget_text_embedding_batch(texts)),
    }
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
