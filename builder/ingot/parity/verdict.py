"""From measures to a word. Pure; docs/reference/compare.md has the reasons for the numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

IDENTICAL, EQUIVALENT, COMPATIBLE, DIFFERENT = "identical", "equivalent", "compatible", "different"
WORDS = (IDENTICAL, EQUIVALENT, COMPATIBLE, DIFFERENT)  # best first


_NAMES = {
    "kl_mean": "mean KL divergence",
    "kl_p99": "KL divergence, 99 %",
    "top1": "same likeliest token, plus two standard errors",
    "log_perplexity_ratio": "logarithm of the perplexities' ratio, less two standard errors",
    "cosine": "lowest cosine",
}
_HIGHER_IS_BETTER = ("top1", "cosine")


@dataclass(frozen=True)
class Threshold:
    """``measure`` must be at most ``limit``, or at least if it is one of ``_HIGHER_IS_BETTER``."""

    measure: str
    limit: float


# No further than one file is from itself on another CPU module: for Q4_K_M, 6.5e-4 and 97.8 %.
_EQUIVALENT = (
    Threshold("kl_mean", 1e-3),
    Threshold("kl_p99", 1e-2),
    Threshold("top1", 0.97),
    Threshold("log_perplexity_ratio", 5e-3),
    Threshold("cosine", 0.9999),
)
# The same model as one would use it: Q3_K_M is 0.038 and 88 % from F32, Q2_K 0.18 and 75 %.
_COMPATIBLE = (
    Threshold("kl_mean", 0.1),
    Threshold("kl_p99", 1.0),
    Threshold("top1", 0.8),
    Threshold("log_perplexity_ratio", 0.05),
    Threshold("cosine", 0.98),
)
THRESHOLDS: Mapping[str, Sequence[Threshold]] = {
    EQUIVALENT: _EQUIVALENT,
    COMPATIBLE: _COMPATIBLE,
}


@dataclass(frozen=True)
class Verdict:
    """``word`` and, in ``reasons``, what stood against the next better one."""

    word: str
    reasons: tuple[str, ...] = ()


def meets(word: str, required: str) -> bool:
    """Is the verdict ``word`` as good as ``required``, or better?"""
    return WORDS.index(word) <= WORDS.index(required)


def judge(measures: Mapping[str, float], same: bool) -> Verdict:
    """``measures`` as ``measures_of`` gives them; ``same``: not one number differed."""
    if same:
        return Verdict(IDENTICAL)
    against: tuple[str, ...] = ("some numbers differ",)
    for word in (EQUIVALENT, COMPATIBLE):
        exceeded = [item for item in THRESHOLDS[word] if not _holds(item, measures)]
        if not exceeded:
            return Verdict(word, against)
        against = tuple(_reason(item, measures, word) for item in exceeded)
    return Verdict(DIFFERENT, against)


def _holds(item: Threshold, measures: Mapping[str, float]) -> bool:
    value = measures.get(item.measure)
    if value is None:
        return True
    return value >= item.limit if item.measure in _HIGHER_IS_BETTER else value <= item.limit


def _reason(item: Threshold, measures: Mapping[str, float], word: str) -> str:
    sign = "<" if item.measure in _HIGHER_IS_BETTER else ">"
    return f"{_NAMES[item.measure]}: {measures[item.measure]:.4g} {sign} {item.limit:g} ({word})"


def measures_of(document: Mapping[str, Any]) -> dict[str, float]:
    """What the verdict goes by, out of a comparison's ``text`` or ``embeddings``."""
    found: dict[str, float] = {}
    if document.get("text"):
        summary = document["text"]["summary"]
        found |= {
            "kl_mean": summary["kl"]["mean"],
            "kl_p99": summary["kl"]["p99"],
            "top1": _certain_share(summary["top1"], summary["positions"]),
        }
        found["log_perplexity_ratio"] = _certain_ratio(summary["perplexity"])
    if document.get("embeddings"):
        found["cosine"] = document["embeddings"]["cosine"]["min"]
    return found


def _certain_ratio(perplexity: Mapping[str, Any]) -> float:
    """What is left of it when chance has had its share: a short text proves little."""
    ratio: float = perplexity["log_ratio"] or 0.0
    error: float = perplexity["log_ratio_error"] or 0.0
    return max(0.0, abs(ratio) - 2 * error)


def _certain_share(share: float, count: int) -> float:
    return float(min(1.0, share + 2 * (share * (1 - share) / count) ** 0.5))


def is_same(document: Mapping[str, Any]) -> bool:
    """Did not one number differ, of all that were compared?"""
    parts = []
    if document.get("text"):
        parts.append(document["text"]["summary"]["logits"]["max"] == 0)
    if document.get("embeddings"):
        parts.append(document["embeddings"]["relative_error"]["max"] == 0)
    if document.get("greedy"):
        parts.append(document["greedy"]["diverged"] == 0)
    parts += [layer["relative_rms"] == 0 for layer in document.get("layers") or ()]
    return bool(parts) and all(parts)
