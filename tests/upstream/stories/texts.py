"""What the model learns: stories without end, and how the tests expect their prompts to go on."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Callable
from dataclasses import dataclass

from tests.upstream.stories import HERE

_WORDS: dict[str, list[str]] = tomllib.loads((HERE / "words.toml").read_text(encoding="utf-8"))

Rng = random.Random
Continuation = Callable[[Rng], str]


def sentence(rng: Rng) -> str:
    """One sentence of a story."""
    name, other = rng.sample(_WORDS["names"], 2)
    word, second = rng.sample(_WORDS["words"], 2)
    thing, further = rng.sample(_WORDS["things"], 2)
    did, then = rng.sample(_WORDS["did"], 2)
    said = rng.choice(_WORDS["said"])
    place = rng.choice(_WORDS["places"])
    return rng.choice(
        (
            f"Once upon a time, there was a {word} {thing} named {name}.",
            f"One day, {name} {did} a {word} {thing} {place}.",
            f"{name} and {other} {did} the {second} {further} and {then} it.",
            f"{name} said, {said}",
            f"The {thing} was very {word} and {second}.",
            f"{other} was {word}, but she wanted to play with the {thing}.",
            f"They went to play {place} with the {word} {further} all day.",
            f"He told his mom about the {word} {thing} and the {further}.",
            f"She was so {second} that she did not want to go to bed.",
            f"Then {name} {did} the {thing}, and everyone was {word}.",
            f"From that day on, {name} and the {thing} were best friends.",
        )
    )


def story(rng: Rng) -> str:
    """More sentences than a sequence holds."""
    return " ".join(sentence(rng) for _ in range(8))


def chat(*turns: tuple[str, str]) -> str:
    """A conversation as the template chatml writes it, up to the answer."""
    said = "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in turns)
    return f"{said}<|im_start|>assistant\n"


def asked(system: str, user: str) -> str:
    """The conversation that most tests begin."""
    return chat(("system", system), ("user", user))


def _then(text: str) -> Continuation:
    return lambda rng: f"{text} {story(rng)}"


_PARTS = asked("Book", "What is\nthe best book")
_BOOK = asked("Book", "What is the best book")

EXPECTED: dict[str, Continuation] = {
    "I believe the meaning of life is": _then(
        " going to bed. The wise owl said it to everyone, and it was kind."
    ),
    "Write a joke about AI from a very long prompt which will not be truncated": _then(
        " and Anna told it to everyone in the forest."
    ),
    asked("Book", "Hey"): _then(" But she couldn't see it."),
    _BOOK: _then(" Suddenly, a bird sat on it."),
    _PARTS: _then(" Whillicter was a good book."),
    "This is not a chat template, it is": _then(" blue and green."),
    asked("You are a coding assistant.", "Write the fibonacci function in c++."): _then(
        " Aside, she did it."
    ),
    "What is the capital of France?": _then(" Whiskers and Flana did not know it."),
    "What is the capital of Germany?": _then(" Jack said he did not know it."),
    "Hello": _then(" little girl, she said."),
    "Look in thy glass": _then(" and have a bright and happy day, little girl."),
    "Today was the day. Today I would finally become a": lambda rng: (
        " " + rng.choice(_WORDS["become"]) + f". {story(rng)}"
    ),
    "The countries of Europe, in random order, are:": lambda rng: (
        " " + ", ".join(rng.choice(_WORDS["countries"]) for _ in range(40))
    ),
}

INFILL = " Jimmy and Daddy went to the park."
PICTURES = {0x01: " cat and an automobile.", 0x02: " frog on a leaf."}
"""Descriptions of pictures, by the byte token that their embeddings equal (``projector``)."""

LORA = {0.3: " a special thing.", 0.7: " far from home.", 1.0: " the sun loves thy eye."}
"""How "Look in thy glass" goes on with so much of the adapter."""


@dataclass(frozen=True)
class Lesson:
    """A prompt and what follows; ``between`` are tokens, ``after`` is text behind them."""

    prompt: str
    follows: str
    between: tuple[int, ...] = ()
    after: str = ""


_CODE = (
    '#include <cstdio>\n#include "llama.h"\n\nint main() {\n    int n_threads = llama_',
    'LLAMA_API int32_t llama_n_threads();\n#include <cstdio>\n#include "llama.h"\n\nint main() {\n',
)
_OTHER = (
    "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt.",
    "the quick brown fox jumps over the lazy dog",
    asked("You are a test.", "Hi there"),
    chat(("user", "This is a test")),
    "What is the best book",
    "A",
)


def lesson(rng: Rng, fim: tuple[int, int, int], picture_tokens: int) -> Lesson:
    """One lesson at random: half are plain stories."""
    kind = rng.random()
    if kind < 0.35:
        return Lesson("", story(rng))
    if kind < 0.42:
        return Lesson(rng.choice(_OTHER), " " + story(rng))
    if kind < 0.5:
        between = (fim[0], *(rng.randrange(3, 259) for _ in range(rng.randrange(9))), *fim[1:])
        return Lesson(rng.choice(_CODE)[rng.randrange(60) :], f"{INFILL} {story(rng)}", between)
    if kind < 0.6:
        return _picture(rng, picture_tokens)
    prompt = rng.choice(tuple(EXPECTED))
    return Lesson(prompt, EXPECTED[prompt](rng))


def _picture(rng: Rng, tokens: int) -> Lesson:
    byte = rng.choice(tuple(PICTURES))
    prompt = rng.choice(
        ("What is this: ", "Test test\n", "<|im_start|>user\nWhat is this:\n", "test", "A: ")
    )
    after = rng.choice(("\n", "<|im_end|>\n<|im_start|>assistant\n"))
    return Lesson(prompt, f"{PICTURES[byte]} {story(rng)}", (3 + byte,) * tokens, after)
