"""Executables and GGUFs as sides: their own program is run, by its verbs ``trace`` and ``embed``.

A GGUF is run by the workbench (recipe/workbench.py), which takes -m and has every CPU module and,
if the side names a kind of GPU, a module that is made for this GGUF.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ingot.bundle.manifest import MODULE
from ingot.bundle.reader import is_bundle, open_bundle
from ingot.console import Progress, Step
from ingot.engine.image import RuntimeImage
from ingot.engine.pin import load_sources
from ingot.engine.runtime import ensure_runtime
from ingot.errors import InputError, UsageError
from ingot.gguf.facts import ENCODERS, model_facts
from ingot.gguf.join import load_weights
from ingot.gguf.model import Gguf
from ingot.parity import gpu
from ingot.parity.program import ask
from ingot.parity.side import Greedy, Job, Layers, Logits, Numbers, Tokens
from ingot.parity.spec import Spec
from ingot.recipe.gpukit import find_kit
from ingot.recipe.workbench import ensure_workbench

TOP = 5  # candidates of each greedy token
_QUICK = ("-c", "32", "--no-warmup", "--no-repack", "--gpu", "none")  # where nothing is computed
_WATCH_SECONDS = 0.5
_CPU_PREFIX = "ggml-cpu-"
_BASELINE = "baseline"  # as trace calls what is inside the program
_POOLING = {1: "mean", 2: "cls", 3: "last"}  # the GGUF key ARCH.pooling_type


@dataclass(frozen=True)
class Local:
    """A program to start, and with what. ``options`` are the engine's."""

    name: str
    program: Path
    vocabulary: int | None
    embeds: bool
    model: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    gpu_options: tuple[str, ...] = ()
    pooling: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str | int] = field(default_factory=dict)
    listed: int | None = None

    def tokenize(self, text: str, progress: Progress) -> Tokens:
        """See Side. The weights are mapped and not touched, so that it takes no time."""
        with _workspace() as folder, progress.step(f"Reading the text with {self.name}"):
            answer = self._trace({"tokenize": text}, _QUICK, folder)
        front = answer.get("begins_with")
        return Tokens(tuple(answer["tokens"]), None if front is None else int(front))

    def run(self, job: Job, folder: Path, progress: Progress) -> Numbers:
        """See Side."""
        document = _document(job, folder)
        expected = job.rows * (self.vocabulary or 0) * 4
        title = f"Running {self.name}"
        with progress.step(title) as step, _watched(folder / "logits", expected, step):
            options = ("-c", str(job.context), *self.gpu_options, *self.options)
            answer = self._trace(document, options, folder)
        return self._numbers(answer, job, folder)

    def embed(self, texts: Sequence[str], folder: Path, progress: Progress) -> list[list[float]]:
        """See Side."""
        prompts = [word for text in texts for word in ("-p", text)]
        words = ["embed", "--json", *prompts, *self.gpu_options, *self.pooling]
        with progress.step(f"Running {self.name}"):
            answer = self._ask(words, folder)
        return [item["embedding"] for item in answer["data"]]

    def _trace(self, job: Mapping[str, Any], options: Sequence[str], folder: Path) -> Any:
        path = folder / "job.json"
        path.write_text(json.dumps(job), "utf-8")
        return self._ask(["trace", "--job", str(path), *options], folder)

    def _ask(self, words: Sequence[str], folder: Path) -> Any:
        program = str(self.program.absolute())
        return ask(self.name, [program, *words, *self.model], folder, self.env)

    def _numbers(self, answer: Any, job: Job, folder: Path) -> Numbers:
        model = answer["model"]
        self._check_module(model["cpu_module"])
        facts = {**self.facts, "cpu_module": model["cpu_module"], "threads": model["threads"]}
        if (device := gpu.device_in(model)) is not None:
            facts["gpu"] = device
        scores = layers = None
        if job.sequences:
            scores = Logits(folder / "logits", model["vocabulary"])
        if answer.get("layers"):
            indices = tuple(answer["layers"])
            layers = Layers(folder / "streams", indices, model["embedding_length"])
        greedy = tuple(greedy_of(item) for item in answer.get("greedy", ()))
        return Numbers(scores, layers, greedy, facts)

    def _check_module(self, used: str) -> None:
        """A module that this machine cannot run is passed over, and the baseline computes."""
        asked = self.env.get("INGOT_CPU")
        if asked is not None and used != asked and (asked, used) != ("none", _BASELINE):
            raise InputError(
                f"{self.name}: the CPU module '{asked}' does not run on this machine",
                hint="choose one that does: ./hello doctor lists them; cpu=none is the baseline",
                code="module-does-not-run",
            )


def open_local(spec: Spec, progress: Progress, options: Sequence[str] = ()) -> Local:
    """The executable or GGUF that ``spec`` names; every error that can be seen beforehand."""
    assert spec.path is not None
    if not spec.path.exists():
        raise InputError(
            f"{spec.path}: there is no such file",
            hint="a side is an executable, a GGUF, a Hugging Face folder or a server's URL",
            code="missing-file",
        )
    if is_bundle(spec.path):
        return _executable(spec, options)
    return _gguf(spec, progress, options)


def _executable(spec: Spec, options: Sequence[str]) -> Local:
    assert spec.path is not None
    if spec.engine is not None:
        raise UsageError(
            f"{spec.written}: an executable has its own engine",
            hint="give the GGUF with @version, or make another executable with 'ingot repack'",
            code="bad-suffix",
        )
    with open_bundle(spec.path) as bundle:
        manifest = bundle.manifest
    modules = [entry for entry in manifest.entries if entry.role == MODULE]
    names = [Path(entry.name).stem for entry in modules]
    gpus = [entry.gpu for entry in modules if entry.gpu is not None]
    about = manifest.about
    return Local(
        name=spec.written,
        program=spec.path,
        vocabulary=about.model.get("vocabulary"),
        embeds=bool(about.model.get("embedding")),
        options=tuple(options),
        gpu_options=gpu.options_of(spec, gpus),
        env=_cpu_env(spec, names),
        facts={"kind": "executable", "engine": str(about.engine.get("commit", ""))},
    )


def _gguf(spec: Spec, progress: Progress, options: Sequence[str]) -> Local:
    assert spec.path is not None
    weights = load_weights(spec.path)
    sources = load_sources()
    kit = find_kit(gpu.wishes_of(spec), sources, progress)
    runtime = ensure_runtime(progress, engine=spec.engine)
    env = _cpu_env(spec, [module.stem for module in runtime.modules])
    if gpu.asks_for_one(spec):
        with _workspace() as folder:
            gpu.check_device(spec, runtime.program, folder)
    modules = kit.modules(runtime, weights, options, sources, progress)
    facts = model_facts(weights.gguf)
    return Local(
        name=spec.written,
        program=ensure_workbench(runtime, progress, modules),
        vocabulary=facts.vocabulary,
        embeds=facts.embedding,
        model=("-m", str(weights.files[0].absolute())),
        options=tuple(options),
        gpu_options=gpu.options_of(spec, [module.facts for module in modules], gpu.NONE),
        pooling=_pooling(weights.gguf),
        env=env,
        facts={"kind": "GGUF", "quantization": facts.quantization, "engine": _commit(runtime)},
    )


def _commit(runtime: RuntimeImage) -> str:
    engine = runtime.identity["engine"]
    return str(engine.get("commit", "")) if isinstance(engine, Mapping) else ""


def _pooling(gguf: Gguf) -> tuple[str, ...]:
    """Said aloud, because the workbench would go by the model that it carries itself."""
    kind = gguf.integer(f"{gguf.architecture}.pooling_type")
    named = _POOLING.get(kind or 0)
    if named is None:
        return ("--pooling", "mean") if gguf.architecture in ENCODERS else ()
    return ("--pooling", named)


def _cpu_env(spec: Spec, modules: Sequence[str]) -> dict[str, str]:
    if spec.cpu is None:
        return {}
    known = [name.removeprefix(_CPU_PREFIX) for name in modules if name.startswith(_CPU_PREFIX)]
    if spec.cpu not in (*known, "none"):
        raise InputError(
            f"{spec.written}: it carries no CPU module '{spec.cpu}'",
            hint=f"it has: {', '.join(sorted(known))}; none is the baseline in the program",
            code="no-such-module",
        )
    return {"INGOT_CPU": spec.cpu}


def _document(job: Job, folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = {}
    if job.sequences:
        document["score"] = {
            "sequences": job.sequences,
            "from": job.first,
            "logits": str(folder / "logits"),
        }
    if job.layers:
        document["layers"] = {"tokens": job.layers, "streams": str(folder / "streams")}
    if job.prompts:
        document["greedy"] = {"prompts": job.prompts, "tokens": job.continued, "top": TOP}
    return document


def greedy_of(item: Mapping[str, Any]) -> Greedy:
    """One of ``greedy`` in the answer of ``trace``, or of the worker that stands in for it."""
    steps = tuple(tuple((int(t), float(x)) for t, x in step) for step in item["steps"])
    return Greedy(tuple(item["prompt"]), tuple(item["tokens"]), item["text"], steps)


@contextmanager
def _workspace() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ingot-compare-") as folder:
        yield Path(folder)


@contextmanager
def _watched(path: Path, expected: int, step: Step) -> Iterator[None]:
    """Report how much of the logits is there: the program says nothing while it computes."""
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(_WATCH_SECONDS):
            try:
                step.update(min(os.stat(path).st_size, expected), expected)
            except OSError:
                continue

    thread = threading.Thread(target=look, daemon=True)
    if expected:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        if expected:
            thread.join()
