"""A commented recipe as ``ingot init`` writes it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ingot.recipe.importers import Draft


def quoted(text: str) -> str:
    """A TOML string. JSON's escapes are TOML's too."""
    plain = all(line.isprintable() for line in text.split("\n"))
    if plain and "\n" in text and '"""' not in text and "\\" not in text and text[-1] != '"':
        return f'"""\n{text}"""'
    return "".join(map(_escaped, json.dumps(text, ensure_ascii=False)))


def _escaped(character: str) -> str:
    """Escape a character that is not printable as TOML does: a recipe is shown on terminals."""
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < 1 << 16 else f"\\U{code:08x}"


def array(words: Sequence[str]) -> str:
    """A TOML array of strings on one line, or one a line when that is long."""
    items = [quoted(word) for word in words]
    line = f"[{', '.join(items)}]"
    return line if len(line) <= 88 else "[\n" + "".join(f"  {item},\n" for item in items) + "]"


def _set(key: str, value: str | Sequence[str] | None, example: str, comment: str = "") -> str:
    """``key = value``, or the example behind a ``#``."""
    tail = f"  # {comment}" if comment else ""
    if not value:
        return f"# {key} = {example}{tail}"
    text = quoted(value) if isinstance(value, str) else array(value)
    return f"{key} = {text}" + (tail if "\n" not in text else "")


def render(draft: Draft, *, gpu: Sequence[str] = ()) -> str:
    """The recipe's text. Every key that is not used stands there as a comment."""
    lines = [
        "# A recipe for Ingot: what goes into an executable. 'ingot build' of this file builds it,",
        "# 'ingot lock' pins every input, 'ingot plan' says what would happen.",
        "",
        "[model]",
        _set("main", draft.main, '"model.gguf"', "a path, https://…, or hf://org/repo:Q4_K_M"),
        _set("projector", draft.projector, '"mmproj.gguf"', "for images or sound"),
        _set("lora", draft.lora, '["adapter.gguf"]'),
        _set("draft", draft.draft, '"small.gguf"', "for speculative decoding"),
        "",
        "[runtime]",
        _set("args", draft.args, '["-c", "4096"]', "the user's own arguments win"),
        _set("system-prompt", draft.system_prompt, '"You answer briefly."'),
        "# ui = false  # leaves out the web page",
        "# fingerprint = true  # records its answers, for verify --answers",
        "",
        "[gpu]",
        _set("modules", list(gpu), '["cuda:80,90,ptx", "vulkan"]'),
        "# sources = false  # then users cannot --recompile",
        "",
        "[metadata]",
        _set("name", draft.name, '"my-model"'),
        _set("description", draft.description, '"One line."'),
        _set("license", draft.license, '"Apache-2.0"', "SPDX"),
        '# license-file = "LICENSE"',
        '# icon = "icon.png"  # of the web page',
        '# version = "1.0"',
        '# homepage = "https://example.org/my-model"',
        "",
        "# [limits]",
        "# max-size = 4_000_000_000  # bytes",
        "",
        "# One table per executable; without any, there is one for this machine.",
        "# [[target]]",
        '# output = "my-model-q8"',
        "# ui = false",
        "",
        "# Each target is built once for each variant.",
        "# [[variant]]",
        '# id = "q8"',
        '# model = "hf://org/repo:Q8_0"',
        "",
        "[[test]]",
        'prompt = "Hello"',
        'args = ["-n", "8", "--temp", "0"]',
        'matches = "."',
        "",
    ]
    return "\n".join(lines)
