"""Trains the model and its adapter and writes both beside this file.

``python -m tests.upstream.stories.train`` needs torch, and half an hour. The weights depend
on torch's version and on the machine, which is why they lie in the repository.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.upstream.stories import HERE, LORA, MODEL
from tests.upstream.stories.shape import SHAPE
from tests.upstream.stories.texts import EXPECTED, Lesson, lesson, story
from tests.upstream.stories.texts import LORA as ADAPTED
from tests.upstream.stories.vocabulary import FIM, Vocabulary
from tests.upstream.stories.write import write_adapter, write_model

LENGTH = 136
BATCH = 10
_IGNORED = -100
_EARLY = 0.3  # weight of the loss behind the first block, which becomes the draft model


class Linear(nn.Module):
    """Weights without a bias, and an adapter of rank 4 that is nothing at first."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in) * n_in**-0.5)
        self.lora_a = nn.Parameter(torch.randn(SHAPE.rank, n_in) * n_in**-0.5, requires_grad=False)
        self.lora_b = nn.Parameter(torch.zeros(n_out, SHAPE.rank), requires_grad=False)

    def forward(self, x: Tensor, scale: Tensor | None) -> Tensor:
        y = functional.linear(x, self.weight)
        if scale is None:
            return y
        low = functional.linear(x, self.lora_a)
        return y + scale * functional.linear(low, self.lora_b)


def _norm(x: Tensor, weight: Tensor) -> Tensor:
    return functional.rms_norm(x, (x.shape[-1],), weight, SHAPE.epsilon)


def _rotate(x: Tensor) -> Tensor:
    """Rotary positions of neighboring pairs; x is (batch, heads, tokens, head)."""
    size = x.shape[-1]
    speed = 10000.0 ** (-torch.arange(0, size, 2, dtype=torch.float32) / size)
    angle = torch.outer(torch.arange(x.shape[2], dtype=torch.float32), speed)
    even, odd = x[..., 0::2], x[..., 1::2]
    turned = (even * angle.cos() - odd * angle.sin(), even * angle.sin() + odd * angle.cos())
    return torch.stack(turned, dim=-1).flatten(-2)


class Block(nn.Module):
    """Attention and feed-forward, by the names that GGUF has for them."""

    def __init__(self) -> None:
        super().__init__()
        wide, kv = SHAPE.embedding, SHAPE.embedding * SHAPE.kv_heads // SHAPE.heads
        self.attn_norm = nn.Parameter(torch.ones(wide))
        self.attn_q, self.attn_output = Linear(wide, wide), Linear(wide, wide)
        self.attn_k, self.attn_v = Linear(wide, kv), Linear(wide, kv)
        self.ffn_norm = nn.Parameter(torch.ones(wide))
        self.ffn_gate = Linear(wide, SHAPE.feed_forward)
        self.ffn_up = Linear(wide, SHAPE.feed_forward)
        self.ffn_down = Linear(SHAPE.feed_forward, wide)

    def forward(self, x: Tensor, scale: Tensor | None) -> Tensor:
        h = _norm(x, self.attn_norm)
        q = self._heads(self.attn_q(h, scale), SHAPE.heads)
        k = self._heads(self.attn_k(h, None), SHAPE.kv_heads)
        v = self._heads(self.attn_v(h, None), SHAPE.kv_heads)
        each = SHAPE.heads // SHAPE.kv_heads
        k, v = k.repeat_interleave(each, dim=1), v.repeat_interleave(each, dim=1)
        mixed = functional.scaled_dot_product_attention(_rotate(q), _rotate(k), v, is_causal=True)
        x = x + self.attn_output(mixed.transpose(1, 2).flatten(2), scale)
        h = _norm(x, self.ffn_norm)
        gate = functional.silu(self.ffn_gate(h, None)) * self.ffn_up(h, None)
        return x + self.ffn_down(gate, scale)

    def _heads(self, x: Tensor, count: int) -> Tensor:
        return x.unflatten(-1, (count, -1)).transpose(1, 2)


class Llama(nn.Module):
    """The model; ``forward`` gives the logits behind the first block and behind the last."""

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self.token_embd = nn.Parameter(torch.randn(tokens, SHAPE.embedding) * 0.3)
        self.output = nn.Parameter(torch.randn(tokens, SHAPE.embedding) * 0.1)
        self.output_norm = nn.Parameter(torch.ones(SHAPE.embedding))
        self.blk = nn.ModuleList(Block() for _ in range(SHAPE.blocks))

    def forward(self, ids: Tensor, scale: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x = self.token_embd[ids]
        early = x
        for number, block in enumerate(self.blk):
            x = block(x, scale)
            early = x if number == 0 else early
        ends = (functional.linear(_norm(h, self.output_norm), self.output) for h in (early, x))
        first, last = ends
        return first, last


def _encode(vocabulary: Vocabulary, given: Lesson) -> tuple[list[int], list[int]]:
    """Tokens and targets: the prompt is not learned."""
    start = vocabulary.encode(given.prompt, start=True) if given.prompt else [1]
    start = [*start, *given.between, *vocabulary.encode(given.after, start=False)]
    ids = [*start, *vocabulary.encode(given.follows, start=False)][: LENGTH + 1]
    learned = [*([_IGNORED] * (len(start) - 1)), *ids[len(start) :]]
    padding = LENGTH - len(learned)
    return [*ids[:-1], *([0] * padding)][:LENGTH], [*learned, *([_IGNORED] * padding)][:LENGTH]


def _batch(vocabulary: Vocabulary, lessons: Iterable[Lesson]) -> tuple[Tensor, Tensor]:
    pairs = [_encode(vocabulary, one) for one in lessons]
    return torch.tensor([ids for ids, _ in pairs]), torch.tensor([want for _, want in pairs])


def _loss(logits: Tensor, want: Tensor) -> Tensor:
    return functional.cross_entropy(logits.flatten(0, 1), want.flatten(), ignore_index=_IGNORED)


def train(vocabulary: Vocabulary, steps: int) -> Llama:
    """The model after so many batches of lessons."""
    rng = random.Random(7)
    torch.manual_seed(7)
    model = Llama(len(vocabulary.pieces))
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=4e-3, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=steps)
    low, high, last = (vocabulary.ids[piece] for piece in FIM)
    for step in range(steps):
        lessons = [lesson(rng, (low, high, last), SHAPE.picture_tokens) for _ in range(BATCH)]
        ids, want = _batch(vocabulary, lessons)
        early, logits = model(ids)
        loss = _loss(logits, want)
        optimizer.zero_grad()
        (loss + _EARLY * _loss(early, want)).backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            print(f"step {step}: {loss.item():.3f}", file=sys.stderr, flush=True)
    return model


def adapt(model: Llama, vocabulary: Vocabulary, steps: int) -> None:
    """Train the adapter alone, at three scales."""
    rng = random.Random(8)
    for weight in model.parameters():
        weight.requires_grad_(False)
    adapters = [weight for name, weight in model.named_parameters() if _adapts(name)]
    for weight in adapters:
        weight.requires_grad_(True)
    optimizer = torch.optim.AdamW(adapters, lr=1e-2, weight_decay=0.0)
    prompt = "Look in thy glass"
    assert prompt in EXPECTED
    for step in range(steps):
        scales = [rng.choice((0.3, 0.7, 1.0)) for _ in range(BATCH)]
        lessons = [Lesson(prompt, f"{ADAPTED[scale]} {story(rng)}") for scale in scales]
        ids, want = _batch(vocabulary, lessons)
        _early, logits = model(ids[:, :96], torch.tensor(scales)[:, None, None])
        loss = _loss(logits, want[:, :96])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 50 == 0:
            print(f"adapter, step {step}: {loss.item():.3f}", file=sys.stderr, flush=True)


def _adapts(name: str) -> bool:
    return ".lora_" in name and name.split(".")[2] in SHAPE.adapted


def main(steps: int = 2200, adapter_steps: int = 400) -> None:
    """Train both and write them."""
    vocabulary = Vocabulary(HERE / "pieces.txt")
    model = train(vocabulary, steps)
    weights = {
        name: weight.detach().numpy()
        for name, weight in model.named_parameters()
        if ".lora_" not in name
    }
    write_model(MODEL, vocabulary, weights)
    adapt(model, vocabulary, adapter_steps)
    adapter = {n: w.detach().numpy() for n, w in model.named_parameters() if _adapts(n)}
    write_adapter(LORA, adapter)


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
