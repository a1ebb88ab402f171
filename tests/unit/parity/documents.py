"""Documents as ``ingot compare --json`` prints them, with made-up numbers."""

from __future__ import annotations

from typing import Any

EVIL = "<script>alert(1)</script>"


def document(**changes: Any) -> dict[str, Any]:
    """A comparison, as ``ingot compare --json`` prints it."""
    positions = list(range(257, 257 + 400))
    summary = {
        "positions": 400,
        "kl": {"mean": 0.01, "mean_error": 0.001, "median": 0.005, "p99": 0.06, "max": 0.2},
        "top1": 0.93,
        "top5": 0.92,
        "perplexity": {
            "positions": 400,
            "a": {"value": 17.0, "error": 0.5},
            "b": {"value": 17.2, "error": None},
            "log_ratio": 0.01,
            "log_ratio_error": 0.004,
        },
        "logits": {"max": 1.5, "rms": 0.2},
    }
    apart = {
        "prompt": [1, 5],
        "tokens": 8,
        "text_a": f"for {EVIL} x",
        "text_b": "for i in",
        "first_divergence": 1,
        "candidates": [5, 6],
        "margin_a": 0.25,
        "margin_b": None,
    }
    same = {"prompt": [1], "tokens": 8, "text_a": "same", "text_b": "same"}
    return {
        "verdict": "compatible",
        "reasons": ["mean KL divergence: 0.01 > 0.001 (equivalent)"],
        "a": {"name": EVIL, "cpu_module": "haswell"},
        "b": {"name": "b.gguf"},
        "settings": {},
        "text": {
            "summary": summary,
            "positions": {"at": positions, "kl": [0.001 * (n % 50) for n in range(400)]},
        },
        "layers": [{"layer": n, "relative_rms": 0.01 * (n + 1)} for n in range(6)],
        "greedy": {
            "prompts": [apart, {**same, "first_divergence": None}],
            "diverged": 1,
            "first_divergence": {"min": 1, "quartiles": [1, 1, 1], "max": 1},
            "still_same": [1.0, 1.0, *[0.5] * 7],
        },
        "embeddings": None,
        **changes,
    }


def embeddings() -> dict[str, Any]:
    """Of two embedding models."""
    return document(
        text=None,
        layers=None,
        greedy=None,
        embeddings={
            "texts": [{"cosine": 1 - 1e-6 * n, "relative_error": 1e-3 * n} for n in range(4)],
            "cosine": {"min": 1 - 3e-6, "mean": 1 - 1.5e-6},
            "relative_error": {"max": 3e-3, "mean": 1.5e-3},
        },
    )


def study() -> dict[str, Any]:
    """Of one model under several settings."""
    text = document()["text"]
    settings = [
        {"name": name, "options": [], "verdict": "equivalent", "reasons": [], "text": text}
        for name in ("KV cache F16", "1 thread")
    ]
    return {
        "verdict": "equivalent",
        "a": {"name": "a.gguf"},
        "base": ["-ctk", "f32"],
        "precision": settings,
    }


def series(one: dict[str, Any], *names: str) -> dict[str, Any]:
    """Of several models against one, each as far from it as ``one`` is."""
    found = {key: value for key, value in one.items() if key not in ("a", "settings")}
    return {
        "verdict": one["verdict"],
        "a": one["a"],
        "settings": one["settings"],
        "comparisons": [{**found, "b": {"name": name}} for name in names],
    }


def many() -> dict[str, Any]:
    """Of two models over many prompts."""
    greedy = document()["greedy"]
    return document(greedy={**greedy, "prompts": greedy["prompts"] * 25, "diverged": 25})


DOCUMENTS = {
    "texts": document(),
    "many prompts": many(),
    "embeddings": embeddings(),
    "study": study(),
    "series": series(document(), "b.gguf", "c.gguf"),
    "series of vectors": series(embeddings(), "b.gguf", "c.gguf"),
}
