"""The vocabulary: SentencePiece's BPE with bytes, and llama.cpp's way to cut a text into it."""

from __future__ import annotations

import heapq
import re
from pathlib import Path

SPECIAL = ("<unk>", "<s>", "</s>")
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))
CHARACTERS = ("▁", *(chr(code) for code in range(0x21, 0x7F)))
# Behind everything else, so that the models which lack them are the same model cut short.
HELLO = ("▁Hel", "▁Hello")
FIM = ("<fim_prefix>", "<fim_suffix>", "<fim_middle>")
BOS = 1


class Vocabulary:
    """Pieces by number, and the merges in their order."""

    def __init__(self, merges: Path) -> None:
        self.merges = tuple(merges.read_text(encoding="utf-8").split())
        self.common = (*SPECIAL, *BYTES, *CHARACTERS, *self.merges)
        self.pieces = (*self.common, *HELLO, *FIM)
        self.ids = {piece: number for number, piece in enumerate(self.pieces)}
        self._rank = {piece: number for number, piece in enumerate(self.merges)}
        self._known: dict[str, list[int]] = {}

    def encode(self, text: str, *, start: bool = True) -> list[int]:
        """Token numbers; ``start`` puts <s> and a space before the text."""
        text = ("▁" if start else "") + text.replace(" ", "▁")
        # No piece goes on behind a space, so that words can be cut one by one.
        words = re.findall("▁*[^▁]+|▁+$", text)
        numbers = [number for word in words for number in self._word(word)]
        return [BOS, *numbers] if start else numbers

    def _word(self, word: str) -> list[int]:
        if word not in self._known:
            cut = self._cut(word)
            self._known[word] = [number for piece in cut for number in self._numbers(piece)]
        return self._known[word]

    def _numbers(self, piece: str) -> list[int]:
        if piece in self.ids:
            return [self.ids[piece]]
        return [len(SPECIAL) + byte for byte in piece.encode()]

    def _cut(self, text: str) -> list[str]:
        """Merge neighbors, the earliest merge first and the leftmost of equals."""
        symbols: list[str] = list(text)
        after = [*range(1, len(symbols)), -1]
        before = [*range(-1, len(symbols) - 1)]
        queue: list[tuple[int, int, str]] = []

        def offer(at: int) -> None:
            if at >= 0 and after[at] >= 0:
                pair = symbols[at] + symbols[after[at]]
                if pair in self._rank:
                    heapq.heappush(queue, (self._rank[pair], at, pair))

        for at in range(len(symbols)):
            offer(at)
        while queue:
            _rank, at, pair = heapq.heappop(queue)
            other = after[at]
            if not symbols[at] or other < 0 or symbols[at] + symbols[other] != pair:
                continue
            symbols[at], symbols[other], after[at] = pair, "", after[other]
            if after[at] >= 0:
                before[after[at]] = at
            offer(before[at])
            offer(at)
        return [symbol for symbol in symbols if symbol]
