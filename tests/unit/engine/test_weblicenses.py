from __future__ import annotations

import json
from pathlib import Path

import pytest

from ingot.engine.weblicenses import closure, imported_names, license_text, listed_packages

LOCK: dict[str, dict[str, object]] = {
    "": {"name": "ui"},
    "node_modules/a": {"version": "1.0", "license": "MIT", "dependencies": {"b": "*"}},
    "node_modules/a/node_modules/b": {"version": "2.0", "dependencies": {"c": "*"}},
    "node_modules/b": {"version": "1.0"},
    "node_modules/c": {"version": "3.0", "license": "ISC", "dependencies": {"a": "*"}},
    "node_modules/builder": {"version": "9.0"},
}


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import x from 'katex';", {"katex"}),
        ('import { y } from "@scope/name/deep/file";', {"@scope/name"}),
        ("const z = await import('pdfjs-dist');", {"pdfjs-dist"}),
        ("@import 'tailwindcss';", {"tailwindcss"}),
        ("import './local'; import x from '$lib/x'; import y from '../y';", set()),
        ("import { defineConfig } from 'vite'; import x from '@vite-pwa/sveltekit';", set()),
    ],
)
def test_imports_are_read_off_the_sources(source: str, names: set[str]) -> None:
    assert imported_names([source]) == names


def test_dependencies_are_found_where_node_finds_them() -> None:
    assert closure(LOCK, ["a", "$lib"]) == [
        "node_modules/a",
        "node_modules/a/node_modules/b",
        "node_modules/c",
    ]


def test_each_licence_text_is_given_once_with_its_packages(tmp_path: Path) -> None:
    (tmp_path / "src" / "vendored").mkdir(parents=True)
    (tmp_path / "src" / "x.ts").write_text("import 'a';")
    (tmp_path / "src" / "vendored" / "LICENSE").write_text("Vendored terms")
    (tmp_path / "package-lock.json").write_text(json.dumps({"packages": LOCK}))
    for place in ("a", "a/node_modules/b", "c"):
        folder = tmp_path / "node_modules" / place
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "LICENSE.md").write_text("Shared terms\r\n" if place != "c" else "Own terms")
    text = license_text(tmp_path)
    assert text.count("Shared terms") == 1
    assert "a 1.0, b 2.0" in text
    assert "a 1.0: MIT\n" in text
    assert "Own terms" in text
    assert "Vendored terms" in text
    assert "builder" not in text
    assert listed_packages(text) == (
        ("a", "1.0", "MIT"),
        ("b", "2.0", None),
        ("c", "3.0", "ISC"),
    )
