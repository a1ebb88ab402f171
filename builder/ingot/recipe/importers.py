"""What other tools call their recipes, read into ours: Ollama's Modelfile, llamafile's ``.args``.

Pure: text in, a draft and notes out. A note says what has no counterpart and was left out.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

from ingot.errors import InputError


@dataclass
class Draft:
    """A recipe being made. References and arguments are as in ``schema.Recipe``."""

    main: str | None = None
    projector: str | None = None
    lora: list[str] = field(default_factory=list)
    draft: str | None = None
    args: list[str] = field(default_factory=list)
    system_prompt: str | None = None
    name: str | None = None
    description: str | None = None
    license: str | None = None
    notes: list[str] = field(default_factory=list)


# Ollama's parameter -> the engine's flag.
_PARAMETERS = {
    "num_ctx": "-c",
    "num_predict": "-n",
    "num_gpu": "-ngl",
    "num_thread": "-t",
    "num_batch": "-b",
    "temperature": "--temp",
    "top_k": "--top-k",
    "top_p": "--top-p",
    "min_p": "--min-p",
    "typical_p": "--typical",
    "repeat_penalty": "--repeat-penalty",
    "repeat_last_n": "--repeat-last-n",
    "presence_penalty": "--presence-penalty",
    "frequency_penalty": "--frequency-penalty",
    "mirostat": "--mirostat",
    "mirostat_tau": "--mirostat-ent",
    "mirostat_eta": "--mirostat-lr",
    "seed": "--seed",
    "stop": "-r",
}
_WITHOUT_COUNTERPART = {
    "TEMPLATE": "TEMPLATE is left out: the engine uses the chat template inside the GGUF",
    "MESSAGE": "MESSAGE is left out: an executable starts with an empty conversation",
    "LICENSE": "LICENSE is left out: name the text's file as metadata.license-file",
    "REQUIRES": "REQUIRES is left out: an executable carries its engine",
}
_INSTRUCTION = re.compile(r"([A-Za-z]+)\s+(.*)", re.DOTALL)
_HUB = ("hf.co/", "huggingface.co/")


def read_modelfile(text: str, *, name: str = "Modelfile") -> Draft:
    """A draft from an Ollama Modelfile. Raises InputError ``bad-modelfile``."""
    draft = Draft()
    for number, instruction, value in _instructions(text, name):
        if instruction == "FROM":
            if draft.main is not None:
                raise _wrong(name, number, "has a second FROM")
            draft.main = _ollama_reference(value, name, number)
        elif instruction == "PARAMETER":
            _add_parameter(draft, value, name, number)
        elif instruction == "SYSTEM":
            draft.system_prompt = value
        elif instruction == "ADAPTER":
            draft.lora.append(value)
        elif instruction in _WITHOUT_COUNTERPART:
            note = _WITHOUT_COUNTERPART[instruction]
            if note not in draft.notes:
                draft.notes.append(note)
        else:
            raise _wrong(name, number, f"has the unknown instruction {instruction!r}")
    if draft.main is None:
        raise InputError(f"{name}: has no FROM", code="bad-modelfile")
    return draft


def _instructions(text: str, name: str) -> Iterator[tuple[int, str, str]]:
    """(line, instruction in capitals, value); a value in triple quotes may have several lines."""
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        number, line = at + 1, lines[at].strip()
        at += 1
        if not line or line.startswith("#"):
            continue
        parts = _INSTRUCTION.fullmatch(line)
        if not parts:
            raise _wrong(name, number, f"is not an instruction: {line[:60]!r}")
        value = parts[2].strip()
        if value.startswith('"""'):
            value = value[3:]
            while '"""' not in value:
                if at == len(lines):
                    raise _wrong(name, number, 'opens """ and never closes it')
                value += "\n" + lines[at]
                at += 1
            value = value[: value.index('"""')].strip("\n")
        elif len(value) > 1 and value[0] == value[-1] == '"':
            value = value[1:-1]
        yield number, parts[1].upper(), value


def _ollama_reference(value: str, name: str, number: int) -> str:
    for prefix in _HUB:
        if value.removeprefix("https://").startswith(prefix):
            return "hf://" + value.removeprefix("https://").removeprefix(prefix)
    if value.endswith(".gguf") or value.startswith((".", "/", "~")):
        return value
    raise InputError(
        f"{name}:{number}: FROM {value} names a model of Ollama's own registry",
        hint="name a GGUF file, or a model of the Hub: FROM hf.co/ORG/REPO:Q4_K_M",
        code="bad-modelfile",
    )


def _add_parameter(draft: Draft, value: str, name: str, number: int) -> None:
    key, _space, setting = value.partition(" ")
    setting = setting.strip().strip('"')
    if not setting:
        raise _wrong(name, number, f"gives {key!r} no value")
    flag = _PARAMETERS.get(key)
    if flag is None:
        draft.notes.append(f"PARAMETER {key} is left out: the engine has no such setting")
        return
    draft.args += [flag, setting]


def _wrong(name: str, number: int, what: str) -> InputError:
    return InputError(f"{name}:{number}: {what}", code="bad-modelfile")


# llamafile's flags that name a file it carries -> the draft's field.
_FILES = {
    "-m": "main",
    "--model": "main",
    "--mmproj": "projector",
    "--lora": "lora",
    "-md": "draft",
    "--model-draft": "draft",
}
_OWN = {"--server", "--chat", "--cli", "--v2", "--nobrowser", "--fast"}
_OWN_WITH_VALUE = {"--gpu", "--url-prefix"}


def read_llamafile_args(text: str) -> Draft:
    """A draft from llamafile's ``.args``: one argument a line, ``...`` for the user's own.

    Raises InputError ``bad-args-file``.
    """
    draft = Draft()
    words = [line.strip() for line in text.splitlines() if line.strip()]
    if len(words) == 1 and " " in words[0]:
        words = shlex.split(words[0])
    position = iter(words)
    for word in position:
        if word == "...":
            continue
        if word in _OWN:
            draft.notes.append(f"{word} is left out: it is llamafile's own")
        elif word in _FILES or word in _OWN_WITH_VALUE:
            value = next(position, None)
            if value is None:
                raise InputError(f".args: {word} has no value", code="bad-args-file")
            if word in _OWN_WITH_VALUE:
                draft.notes.append(f"{word} {value} is left out: it is llamafile's own")
            else:
                _set_file(draft, _FILES[word], value.removeprefix("/zip/"))
        else:
            draft.args.append(word)
    if draft.main is None:
        raise InputError(
            ".args: names no model with -m",
            hint="take the GGUF out of the llamafile and give it to 'ingot init'",
            code="bad-args-file",
        )
    return draft


def _set_file(draft: Draft, role: str, reference: str) -> None:
    if role == "lora":
        draft.lora.append(reference)
    else:
        setattr(draft, role, reference)
