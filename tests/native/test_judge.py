"""What the builder asks the engine before it writes: models, adapters, projectors, arguments."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from ingot.console import NullProgress
from ingot.engine.image import RuntimeImage
from ingot.engine.judge import Files, judge_args, judge_model
from ingot.errors import InputError, UsageError
from ingot.recipe.build import BuildResult, build
from ingot.recipe.plan import Artefact
from tests.conftest import Run
from tests.golden.samples import Plain, T, gguf_bytes
from tests.models import DEMO
from tests.models.fixtures import lora_adapter, projector
from tests.models.loadable import FAULTS, WIDTH, write


def refusal(runtime: RuntimeImage, artefact: Artefact) -> str:
    with pytest.raises(InputError) as caught:
        build(artefact, runtime, NullProgress())
    assert caught.value.exit_code == 3 and caught.value.code == "engine-refuses"
    assert caught.value.hint and "\n" not in caught.value.message
    assert not artefact.output.exists()
    return caught.value.message


def test_a_sound_model_passes(runtime_image: RuntimeImage, tmp_path: Path) -> None:
    verdict = judge_model(runtime_image, Files((write(tmp_path / "m.gguf"), "m")))
    assert "MUL_MAT" in verdict.kernels.ops and verdict.template_fault is None


@pytest.mark.parametrize("fault", FAULTS)
def test_what_the_engine_refuses_is_not_built(
    fault: str, runtime_image: RuntimeImage, tmp_path: Path
) -> None:
    spoil, reason = FAULTS[fault]
    model = write(tmp_path / "m.gguf", spoil)
    message = refusal(runtime_image, Artefact(model=model, output=tmp_path / "out"))
    assert message.startswith(f"{model}: the engine cannot load it: ") and reason in message


def test_a_draft_that_the_engine_refuses(runtime_image: RuntimeImage, tmp_path: Path) -> None:
    draft = write(tmp_path / "draft.gguf", FAULTS["missing tensor"][0])
    model = write(tmp_path / "m.gguf")
    artefact = Artefact(model=model, output=tmp_path / "out", draft=draft)
    assert refusal(runtime_image, artefact).startswith(f"{draft}: the engine cannot load it: ")


def test_adapters(runtime_image: RuntimeImage, tmp_path: Path) -> None:
    good = lora_adapter(tmp_path / "good.gguf")
    judge_model(runtime_image, Files((DEMO, "demo"), ((good, "good"),)))
    lora = tmp_path / "lora.gguf"
    keys: dict[str, Plain] = {
        "general.architecture": "llama",
        "general.type": "adapter",
        "adapter.type": "lora",
        "adapter.lora.alpha": 4.0,
    }
    name = "blk.7.attn_q.weight"
    pair = (T(f"{name}.lora_a", (WIDTH, 4)), T(f"{name}.lora_b", (4, WIDTH)))
    lora.write_bytes(gguf_bytes(keys, pair))
    model = write(tmp_path / "m.gguf")
    message = refusal(runtime_image, Artefact(model=model, output=tmp_path / "o", loras=(lora,)))
    assert message.startswith(f"{lora}: the engine cannot load it: ") and name in message


def test_projectors(runtime_image: RuntimeImage, tmp_path: Path) -> None:
    good = projector(tmp_path / "good.gguf")
    judge_model(runtime_image, Files((DEMO, "demo"), (), (good, "good")))
    bad = tmp_path / "bad.gguf"
    keys = {"general.architecture": "clip", "general.type": "mmproj"}
    bad.write_bytes(gguf_bytes(keys, (T("mm.0.weight", (4, 4)),)))
    with pytest.raises(InputError) as caught:
        judge_model(runtime_image, Files((DEMO, "demo"), (), (bad, "bad.gguf")))
    assert caught.value.message.startswith("bad.gguf: the engine cannot load it: ")


@pytest.mark.parametrize(
    "template",
    [
        "{% for m in messages %}{{ m.content }",
        "{{ raise_exception('never') }}",
        "says nothing of it",
        "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}",
        "{{ " + "(" * 20_000 + "1" + ")" * 20_000 + " }}",
        "{% for i in range(1000000000) %}x{% endfor %}{{ messages[0].content }}",
    ],
    ids=["broken", "raises", "leaves out", "recurses", "nests", "loops"],
)
def test_a_template_that_cannot_be_used_is_a_note(
    template: str, runtime_image: RuntimeImage, tmp_path: Path
) -> None:
    done = built_with(template, runtime_image, tmp_path)
    [note] = done.notes
    assert "its chat template cannot be used: " in note and "--chat-template" in note


@pytest.mark.parametrize("template", ["{{ messages[0].content }}", "", " \n\t"])
def test_one_that_can_be_or_is_blank_is_none(
    template: str, runtime_image: RuntimeImage, tmp_path: Path
) -> None:
    done = built_with(template, runtime_image, tmp_path)
    assert done.notes == ()
    assert done.manifest.about.model["chat_template"] is bool(template.strip())


def built_with(template: str, runtime: RuntimeImage, folder: Path) -> BuildResult:
    model = write(folder / "m.gguf", tokenizer__chat_template=template)
    return build(Artefact(model=model, output=folder / "out"), runtime, NullProgress())


# Arguments -> what the error says.
BAD_ARGS: dict[str, str] = {
    "--tempp 0.25": "unknown option '--tempp' // did you mean --temp?",
    "--temp=0.25": "takes the value of --temp as a word of its own // write --temp 0.25",
    "--ctx-size=64 --temp 0.25": "write --ctx-size 64",
    "hello world": "'hello' is no option",
    "-c abc": "-c abc: it is not a number",
    "-c 4k": "-c 4k: it is not a number",
    "-c 99999999999": "the number is too large",
    "--temp": "--temp needs a value",
    "--temp warm": "it is not a number",
    "--port 99999": "--port 99999: ",
    "--chat-template-file x": "--chat-template-file cannot be a default argument // it would name",
    "-f x": "-f cannot be a default argument // it would name a file",
    "--control-vector x": "--control-vector cannot be a default argument",
    "--control-vector-scaled x:1": "--control-vector-scaled cannot be a default argument",
    "--api-key-file x": "--api-key-file cannot be a default argument",
    "--slot-save-path x": "--slot-save-path cannot be a default argument",
    "--log-file x": "--log-file cannot be a default argument",
    "--ssl-key-file x": "--ssl-key-file cannot be a default argument",
    "--grammar-file x": "--grammar-file cannot be a default argument",
    "-jf x": "-jf cannot be a default argument",
    "--models-dir x": "--models-dir cannot be a default argument",
    "--model_url x": "--model_url cannot be a default argument // an executable carries",
    "-dr x": "-dr cannot be a default argument // an executable carries",
    "--fim-qwen-1.5b-default": "cannot be a default argument // an executable carries",
    "--version": "--version cannot be a default argument // it would end every command",
    "--help": "--help cannot be a default argument // it would end every command",
    "--list-devices": "--list-devices cannot be a default argument",
    "--completion-bash": "--completion-bash cannot be a default argument",
    "--cache-list": "--cache-list cannot be a default argument",
    "--server": "--server cannot be a default argument",
    "--recompile": "--recompile cannot be a default argument",
    "--gpu radeon": "--gpu radeon: there is no such kind",
    "--pooling odd": "--pooling odd: invalid value",
    "--json-schema {": "--json-schema {: ",
    "--chat-template {%": "--chat-template {%: ",
    "--no-jinja=1": "--no-jinja takes no value // write --no-jinja",
    "--gpu=none": "write --gpu none",
    "'-c 64'": "write -c 64",
    "--api-key ''": "the API key is empty",
    "--api-key ' , '": "the API key is empty",
    "--hf-token x": "--hf-token cannot be a default argument // everybody",
    "--grammar (": "--grammar (: it takes a grammar",
    "--samplers nonsense": "--samplers nonsense: it takes names of samplers",
    "--mcp-servers-json {": "--mcp-servers-json {: it takes JSON",
    "--ui-config {": "--ui-config {: it takes JSON",
    "--chat-template nonsense": "it leaves out what the user says",
    "--prompt-cache-all -i": "the engine does not take these together",
}


@pytest.mark.parametrize("args", BAD_ARGS)
def test_arguments_that_cannot_be_defaults(args: str, runtime_image: RuntimeImage) -> None:
    with pytest.raises(UsageError) as caught:
        judge_args(runtime_image, shlex.split(args))
    assert caught.value.exit_code == 2 and caught.value.message.startswith("--args: ")
    assert BAD_ARGS[args] in f"{caught.value.message} // {caught.value.hint}"


@pytest.mark.parametrize(
    "args",
    [
        ["-c", "8192", "--temp", "0.6", "-ctk", "q8_0", "-ngl", "all", "-fa", "on"],
        ["--ctx_size", "64", "-r", "User:", "-n", "-1", "--seed", "7", "--port", "8090"],
        ["--deterministic", "--gpu", "none", "--nocompile", "--no-webui"],
        ["--chat-template", "{% for m in messages %}{{ m.content }}{% endfor %}"],
        ["--host", "0.0.0.0", "-np", "4", "--json-schema", '{"type": "string"}'],
    ],
)
def test_arguments_that_can(
    args: list[str], runtime_image: RuntimeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_ARG_CTX_SIZE", "abc")  # this machine's settings do not count
    judge_args(runtime_image, args)


def test_a_baked_chat_template_does_not_stop_completion(
    runtime_image: RuntimeImage, tmp_path: Path, run: Run
) -> None:
    template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    artefact = Artefact(model=DEMO, output=tmp_path / "m", args=("--chat-template", template))
    path = build(artefact, runtime_image, NullProgress()).path
    done = run(path, "-p", "import", "-n", "2", "-t", "1")
    assert (done.returncode, done.stderr) == (0, b"") and done.stdout


def test_a_baked_choice_of_gpu_holds_until_the_user_makes_one(
    runtime_image: RuntimeImage, tmp_path: Path, run: Run
) -> None:
    artefact = Artefact(model=DEMO, output=tmp_path / "m", args=("--gpu", "none"))
    path = build(artefact, runtime_image, NullProgress()).path
    clash = run(path, "--require-gpu", "-p", "a", "-n", "1")
    assert clash.returncode == 2 and b"--gpu none contradict" in clash.stderr
    assert run(path, "-p", "a", "-n", "1", "-t", "1").returncode == 0
    shown = json.loads(run(path, "info", "--json").stdout)
    assert shown["defaults"]["args"] == ["--gpu", "none"]
