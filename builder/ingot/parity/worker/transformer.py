"""A Hugging Face folder answers the jobs of ``trace`` (docs/reference/compare.md), in float32.

Nothing is fetched, nothing but safetensors is read, and no code of the folder is run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# Before transformers is imported, which reads them once.
os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

import torch
import transformers

from ingot.errors import InputError

_SAFE: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
_POOLING = "1_Pooling/config.json"  # as sentence-transformers writes it


def run(request: Mapping[str, Any]) -> dict[str, Any]:
    """The task ``transformer``: ``folder``, and any of ``tokenize``, ``score``, ``layers``,
    ``greedy``, ``embed``.
    """
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        with torch.inference_mode():
            return _answer(request)
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{request['folder']}: transformers cannot use it: {_reason(error)}",
            hint="is the repository whole, and is there memory for its weights in float32?",
            code="side-failed",
        ) from error


def _reason(error: Exception) -> str:
    """The first line, and the second where the first one ends in a colon."""
    first, *more = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    if first.endswith(":") and more:
        first += f" {more[0]}"
    return f"{type(error).__name__}: {first}"


def _answer(request: Mapping[str, Any]) -> dict[str, Any]:
    folder = request["folder"]
    _check_architecture(Path(folder), writes="embed" not in request)
    answer: dict[str, Any] = {}
    if "tokenize" in request:
        answer.update(_tokens(_tokenizer(folder), request["tokenize"]))
    if "embed" in request:
        answer["vectors"] = _vectors(folder, request["embed"])
    if not {"score", "layers", "greedy"} & request.keys():
        return answer
    model = _load(transformers.AutoModelForCausalLM, folder, attn_implementation="eager")
    answer["model"] = {
        "vocabulary": model.get_output_embeddings().weight.shape[0],
        "embedding_length": model.config.get_text_config().hidden_size,
        "threads": torch.get_num_threads(),
    }
    if "score" in request:
        _score(model, **request["score"])
    if "layers" in request:
        answer["layers"] = _layers(model, **request["layers"])
    if "greedy" in request:
        tokenizer = _tokenizer(folder)
        job = request["greedy"]
        answer["greedy"] = [
            _continue(model, tokenizer, prompt, job["tokens"], job["top"])
            for prompt in job["prompts"]
        ]
    return answer


def _check_architecture(folder: Path, *, writes: bool) -> None:
    """Said for the first request already, of tokens alone, and so before any side computes."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    kind = config.get("model_type")
    known = transformers.CONFIG_MAPPING
    models = transformers.MODEL_FOR_CAUSAL_LM_MAPPING if writes else transformers.MODEL_MAPPING
    if not isinstance(kind, str) or kind not in known or known[kind] not in models:
        raise InputError(
            f"{folder}: transformers {transformers.__version__} has no such model"
            f"{' that writes' if writes else ''}: {config['architectures'][0]} ({kind})",
            hint="compare with a GGUF of it, if the engine knows it",
            code="unknown-architecture",
        )


def _load(kind: Any, folder: str, **options: Any) -> Any:
    """The model, all of whose weights are from the folder.

    transformers fills up what is missing with random numbers and a warning. A layer of those is
    hard to see in the results: it changes little of what passes through it.
    """
    model, found = kind.from_pretrained(
        folder,
        dtype=torch.float32,
        use_safetensors=True,
        output_loading_info=True,
        ignore_mismatched_sizes=True,
        **options,
        **_SAFE,
    )
    # Only what follows the last hidden state goes through a pooler, and many folders have none.
    missing = sorted(name for name in found["missing_keys"] if "pooler." not in name)
    if missing:
        raise InputError(
            f"{folder}: lacks {len(missing)} tensors that config.json asks for, such as "
            f"{missing[0]!r}",
            hint="get the whole repository; is config.json of this model?",
            code="missing-tensor",
        )
    other = sorted(found["mismatched_keys"])
    if other:
        name, has, wanted = other[0]
        raise InputError(
            f"{folder}: {name!r} has the shape {list(has)}; config.json asks for {list(wanted)}",
            hint="is config.json of this model?",
            code="wrong-shape",
        )
    return model.eval()


def _tokenizer(folder: str) -> Any:
    return transformers.AutoTokenizer.from_pretrained(folder, **_SAFE)


def _tokens(tokenizer: Any, text: str) -> dict[str, Any]:
    plain = tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
    whole = tokenizer.encode("a", add_special_tokens=True)
    begins = bool(whole) and whole[0] == tokenizer.bos_token_id
    return {"tokens": plain, "begins_with": whole[0] if begins else None}


def _score(model: Any, sequences: Sequence[Sequence[int]], first: int, logits: str) -> None:
    with Path(logits).open("wb") as file:
        for sequence in sequences:
            ids = torch.tensor([sequence])
            rows = model(ids, use_cache=False, logits_to_keep=len(sequence) - first).logits[0]
            file.write(rows[-(len(sequence) - first) :].float().numpy().astype("<f4").tobytes())


def _layers(model: Any, tokens: Sequence[int], streams: str) -> list[int]:
    """What leaves each block, before the norm that follows the last one."""
    blocks = _blocks(model)
    found: list[Any] = []

    def keep(_module: Any, _inputs: Any, output: Any) -> None:
        found.append((output[0] if isinstance(output, tuple) else output).reshape(len(tokens), -1))

    hooks = [block.register_forward_hook(keep) for block in blocks]
    try:
        model(torch.tensor([tokens]), use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()
    with Path(streams).open("wb") as file:
        file.writelines(stream.float().numpy().astype("<f4").tobytes() for stream in found)
    return list(range(len(found)))


def _blocks(model: Any) -> Sequence[Any]:
    """The list of blocks, whatever the architecture calls it: the one with as many as it says."""
    count = model.config.get_text_config().num_hidden_layers
    for module in model.modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == count:
            return list(module)
    return ()


def _continue(
    model: Any, tokenizer: Any, prompt: Sequence[int], count: int, top: int
) -> dict[str, Any]:
    tokens = torch.tensor([prompt])
    ends = _ends(model)
    cache, chosen, steps = None, [], []
    for _ in range(count):
        output = model(tokens, past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache, row = output.past_key_values, output.logits[0, -1]
        values, ids = row.topk(min(top, len(row)))
        steps.append(list(zip(ids.tolist(), values.tolist(), strict=True)))
        chosen.append(int(row.argmax()))
        if chosen[-1] in ends:
            break
        tokens = torch.tensor([[chosen[-1]]])
    text = tokenizer.decode([token for token in chosen if token not in ends])
    return {"prompt": list(prompt), "tokens": chosen, "text": text, "steps": steps}


def _ends(model: Any) -> set[int]:
    ends = model.generation_config.eos_token_id
    return {ends} if isinstance(ends, int) else set(ends or ())


def _vectors(folder: str, texts: Sequence[str]) -> list[list[float]]:
    """Normalised vectors, pooled as the folder says; the mean of all tokens if it does not."""
    model = _load(transformers.AutoModel, folder)
    tokenizer = _tokenizer(folder)
    pool = _pool(Path(folder))
    found = []
    for text in texts:
        hidden = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        vector = {"mean": hidden.mean(0), "cls": hidden[0], "last": hidden[-1]}[pool]
        found.append(torch.nn.functional.normalize(vector, dim=0).tolist())
    return found


def _pool(folder: Path) -> str:
    try:
        says = json.loads((folder / _POOLING).read_text("utf-8"))
    except (OSError, ValueError):
        return "mean"
    if says.get("pooling_mode_cls_token"):
        return "cls"
    return "last" if says.get("pooling_mode_lasttoken") else "mean"
