"""The kernel set: what a model asks of a GPU module, as the engine itself says it.

Plain data and its JSON; asking the engine is ``engine/kernels.py``'s business. The same record in
C++ is ``runtime/kernel_set.h``, where the members are explained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NoReturn, TypeVar

from ingot.errors import IntegrityError
from ingot.gguf.facts import TypeShare

MAX_ITEMS = 4_096  # in any list or object; the largest real set has about 50
_LIMIT = 1 << 63
T = TypeVar("T")

Pair = tuple[str, str]


@dataclass(frozen=True)
class KernelSet:
    """Types are lowercase engine names (``q4_k``), ops the engine's (``UNARY(SILU)``).

    ``source_types`` maps MUL_MAT, MUL_MAT_ID and GET_ROWS to the types of their first operand,
    ``copies`` CPY, CONT, DUP and SET_ROWS to (from, to) pairs. ``kv_types`` are (K, V) of flash
    attention, ``attention`` its (elements of a K head, of a V head, query heads per KV head).
    All sequences are sorted and without repetition.
    """

    ops: tuple[str, ...]
    source_types: Mapping[str, tuple[str, ...]]
    copies: Mapping[str, tuple[Pair, ...]]
    kv_types: tuple[Pair, ...]
    attention: tuple[tuple[int, int, int], ...]
    weights: Mapping[str, TypeShare]

    def to_json(self) -> dict[str, Any]:
        """The object that the runtime prints and the manifest carries as ``model.kernels``."""
        return {
            "ops": list(self.ops),
            "source_types": {op: list(types) for op, types in self.source_types.items()},
            "copies": {op: [list(pair) for pair in pairs] for op, pairs in self.copies.items()},
            "kv_types": [list(pair) for pair in self.kv_types],
            "attention": [list(heads) for heads in self.attention],
            "weights": {name: asdict(share) for name, share in self.weights.items()},
        }

    @classmethod
    def from_json(cls, document: object) -> KernelSet:
        """Check and take over a decoded document. Unknown members are ignored.

        Raises IntegrityError ``kernels-invalid``.
        """
        members = _object(document, "it", _anything)
        return cls(
            ops=_sorted(members.get("ops"), "ops", _text),
            source_types=_object(
                members.get("source_types"), "source_types", lambda v, w: _sorted(v, w, _text)
            ),
            copies=_object(members.get("copies"), "copies", lambda v, w: _sorted(v, w, _pair)),
            kv_types=_sorted(members.get("kv_types"), "kv_types", _pair),
            attention=_sorted(members.get("attention"), "attention", _heads),
            weights=_object(members.get("weights"), "weights", _share),
        )


Check = Callable[[object, str], T]


def _object(value: object, what: str, check: Check[T]) -> dict[str, T]:
    if not isinstance(value, dict) or len(value) > MAX_ITEMS:
        _refuse(what, "an object")
    return {_text(key, what): check(item, f"{what}.{key}") for key, item in sorted(value.items())}


def _list(value: object, what: str) -> list[object]:
    if not isinstance(value, list) or len(value) > MAX_ITEMS:
        _refuse(what, "a list")
    return value


def _sorted(value: object, what: str, check: Check[Any]) -> tuple[Any, ...]:
    return tuple(sorted({check(item, what) for item in _list(value, what)}))


def _anything(value: object, what: str) -> object:
    return value


def _text(value: object, what: str) -> str:
    if not isinstance(value, str) or not value or not value.isascii() or not value.isprintable():
        _refuse(what, "printable names")
    return value


def _pair(value: object, what: str) -> Pair:
    items = _list(value, what)
    if len(items) != 2:
        _refuse(what, "pairs")
    return _text(items[0], what), _text(items[1], what)


def _heads(value: object, what: str) -> tuple[int, int, int]:
    items = _list(value, what)
    if len(items) != 3:
        _refuse(what, "triples")
    return _number(items[0], what), _number(items[1], what), _number(items[2], what)


def _share(value: object, what: str) -> TypeShare:
    members = _object(value, what, _anything)
    return TypeShare(_number(members.get("count"), what), _number(members.get("bytes"), what))


def _number(value: object, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _LIMIT:
        _refuse(what, "counts")
    return value


def _refuse(what: str, wanted: str) -> NoReturn:
    raise IntegrityError(
        f"the kernel set is not valid: {what} should be {wanted}",
        hint="the file is damaged or was not made by Ingot",
        code="kernels-invalid",
    )
