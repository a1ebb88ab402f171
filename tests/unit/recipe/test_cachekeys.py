from __future__ import annotations

from pathlib import Path

import pytest

from ingot.engine.pin import load_sources
from ingot.engine.runtime import choose_target, runtime_folder, runtime_key
from ingot.errors import InputError
from ingot.recipe.cachekeys import models_entry, runtime_entry
from ingot.recipe.lock import Lock, LockedFile, LockedInput
from ingot.recipe.orders import Need, Order

HUB, URLS = Path("/hub"), Path("/urls")


def order(reference: str, output: str = "hello") -> Order:
    return Order(output, "linux-x86_64", Need("model", reference))


def lock(**files: LockedFile) -> Lock:
    inputs = [LockedInput(reference=r, role="model", files=(f,)) for r, f in files.items()]
    return Lock(ingot="1", recipe="0" * 64, engine={}, toolchain={}, inputs=tuple(inputs))


def hub_file(sha256: str, commit: str = "c" * 40) -> LockedFile:
    return LockedFile(name="m.gguf", size=1, sha256=sha256 * 64, repo="a/b", commit=commit)


def test_the_runtime_has_its_own_key_for_any_number_of_executables() -> None:
    sources = load_sources()
    key = runtime_key(sources, choose_target(sources))
    entry = runtime_entry([order("a"), order("b")], sources)
    assert (entry.key, entry.paths) == (key, (runtime_folder(key),))


def test_models_are_kept_until_the_lock_names_others() -> None:
    def key(file: LockedFile) -> str:
        return models_entry([order("m")], lock(m=file), HUB, URLS).key

    assert key(hub_file("a")) == key(hub_file("a"))
    assert len({key(hub_file("a")), key(hub_file("b")), key(hub_file("a", "d" * 40))}) == 3


def test_only_models_of_the_executables_asked_for_count() -> None:
    both = lock(m=hub_file("a"), n=hub_file("b"))
    alone = models_entry([order("m")], lock(m=hub_file("a")), HUB, URLS)
    assert models_entry([order("m")], both, HUB, URLS) == alone
    assert models_entry([order("m"), order("n")], both, HUB, URLS) != alone


def test_models_lie_where_they_are_downloaded_to() -> None:
    address = LockedFile(name="n.gguf", size=1, sha256="b" * 64, url="https://h/n.gguf")
    path = LockedFile(name="o.gguf", size=1, sha256="c" * 64)
    found = lock(m=hub_file("a"), n=address, o=path)
    paths = {
        name: models_entry([order(one) for one in name], found, HUB, URLS).paths
        for name in ("m", "n", "o", "mno")
    }
    assert paths == {"m": (HUB,), "n": (URLS,), "o": (), "mno": (HUB, URLS)}


def test_a_lock_without_the_model() -> None:
    with pytest.raises(InputError, match="does not have 'm'"):
        models_entry([order("m")], lock(), HUB, URLS)
