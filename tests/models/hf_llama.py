"""The demo model as the Hugging Face checkpoint that it once was, out of its GGUF.

The engine's converter reorders the rows of Q and K for its own rotary embedding; here they are put
back, and the tokenizer is made again from the vocabulary.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gguf import GGUFReader

from tests.models import DEMO

HEADS, KV_HEADS, LAYERS = 4, 2, 6
_NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
_WHOLE = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 256,
    "intermediate_size": 768,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "head_dim": 64,
    "max_position_embeddings": 1024,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "hidden_act": "silu",
    "vocab_size": 4096,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def hf_llama(folder: Path, *, shards: int = 1, times: int = 1) -> Path:
    """Write the checkpoint: BF16 safetensors, in one file or several with an index.

    With ``times`` its six layers come so often, one after another: a deeper model.
    """
    folder.mkdir()
    reader = GGUFReader(DEMO)
    tensors = {_name(t.name): _content(t) for t in reader.tensors}
    tensors = _repeated(tensors, times)
    config = {**CONFIG, "rms_norm_eps": _number(reader, "llama.attention.layer_norm_rms_epsilon")}
    config["num_hidden_layers"] = LAYERS * times
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "legacy": False})
    )
    (folder / "tokenizer.model").write_bytes(_tokenizer(reader))
    _write(folder, tensors, shards)
    return folder


def _repeated(tensors: dict[str, np.ndarray], times: int) -> dict[str, np.ndarray]:
    found = {}
    for name, data in tensors.items():
        front, _, rest = name.partition("model.layers.")
        number, _, part = rest.partition(".")
        if front or not rest:
            found[name] = data
            continue
        for time in range(times):
            found[f"model.layers.{int(number) + LAYERS * time}.{part}"] = data
    return found


@dataclass(frozen=True)
class Tiny:
    """Sizes of a Llama of random weights, in elements. "<u2" are the bits of BF16."""

    heads: int
    kv_heads: int
    tied: bool
    bias: bool
    dtype: str
    head: int = 6
    layers: int = 2
    feed_forward: int = 20
    vocabulary: int = 30


def random_llama(folder: Path, tiny: Tiny) -> Path:
    """Write a checkpoint of one file, without a tokenizer of sense."""
    folder.mkdir()
    rng = np.random.default_rng(5)
    hidden, kv, wide = tiny.heads * tiny.head, tiny.kv_heads * tiny.head, tiny.feed_forward
    whole = ["model.embed_tokens", *([] if tiny.tied else ["lm_head"])]
    sizes: dict[str, tuple[int, ...]] = {
        f"{name}.weight": (tiny.vocabulary, hidden) for name in whole
    }
    sizes["model.norm.weight"] = (hidden,)
    for layer in range(tiny.layers):
        front = f"model.layers.{layer}"
        rows = {"q_proj": hidden, "k_proj": kv, "v_proj": kv, "o_proj": hidden}
        for part, count in rows.items():
            sizes[f"{front}.self_attn.{part}.weight"] = (count, hidden)
            if tiny.bias:
                sizes[f"{front}.self_attn.{part}.bias"] = (count,)
        sizes[f"{front}.mlp.gate_proj.weight"] = (wide, hidden)
        sizes[f"{front}.mlp.up_proj.weight"] = (wide, hidden)
        sizes[f"{front}.mlp.down_proj.weight"] = (hidden, wide)
        sizes[f"{front}.input_layernorm.weight"] = (hidden,)
        sizes[f"{front}.post_attention_layernorm.weight"] = (hidden,)
    tensors = {
        name: rng.integers(0, 1 << 15, size=size).astype(tiny.dtype) for name, size in sizes.items()
    }
    write_safetensors(folder / "model.safetensors", tensors)
    config = {
        **CONFIG,
        "hidden_size": hidden,
        "intermediate_size": wide,
        "num_hidden_layers": tiny.layers,
        "num_attention_heads": tiny.heads,
        "num_key_value_heads": tiny.kv_heads,
        "head_dim": tiny.head,
        "vocab_size": tiny.vocabulary,
        "tie_word_embeddings": tiny.tied,
        "attention_bias": tiny.bias,
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.model").write_bytes(b"")
    return folder


def internlm2(folder: Path, llama: Path) -> Path:
    """The checkpoint ``llama`` (one file) in InternLM2's layout, as its own authors describe it:
    wqkv is, seen as (KV heads, queries of each + 2, head size, hidden), Q then K then V.
    """
    folder.mkdir()
    config = json.loads((llama / "config.json").read_text())
    kv_heads = config["num_key_value_heads"]
    head = config["hidden_size"] // config["num_attention_heads"]
    tensors = read_safetensors(llama / "model.safetensors")
    found = {}
    for name, data in tensors.items():
        inside, _, kind = name.rpartition(".")
        part = inside.split(".", 3)[3] if name.count(".") > 3 else ""
        front = inside.removesuffix(part)
        if part == "self_attn.q_proj":
            three = [tensors[f"{front}self_attn.{one}_proj.{kind}"] for one in "qkv"]
            grouped = [one.reshape(kv_heads, -1, head, *one.shape[1:]) for one in three]
            packed = np.concatenate(grouped, axis=1).reshape(-1, *data.shape[1:])
            found[f"{front}attention.wqkv.{kind}"] = packed
        elif part in _INTERNLM2:
            found[f"{front}{_INTERNLM2[part]}.{kind}"] = data
        elif not part or part not in ("self_attn.k_proj", "self_attn.v_proj"):
            found[_INTERNLM2.get(name, name)] = data
    write_safetensors(folder / "model.safetensors", found)
    config |= {"architectures": ["InternLM2ForCausalLM"], "model_type": "internlm2", "bias": False}
    config["auto_map"] = {"AutoConfig": "configuration_internlm2.InternLM2Config"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "configuration_internlm2.py").write_text("raise SystemExit('code was run')\n")
    (folder / "tokenizer.model").write_bytes((llama / "tokenizer.model").read_bytes())
    tokenizer = {"tokenizer_class": "InternLM2Tokenizer", "add_bos_token": True}
    auto = {"AutoTokenizer": ["tokenization_internlm2.InternLM2Tokenizer", None]}
    (folder / "tokenizer_config.json").write_text(json.dumps({**tokenizer, "auto_map": auto}))
    return folder


_INTERNLM2 = {
    "self_attn.o_proj": "attention.wo",
    "mlp.gate_proj": "feed_forward.w1",
    "mlp.up_proj": "feed_forward.w3",
    "mlp.down_proj": "feed_forward.w2",
    "input_layernorm": "attention_norm",
    "post_attention_layernorm": "ffn_norm",
    "model.embed_tokens.weight": "model.tok_embeddings.weight",
    "lm_head.weight": "output.weight",
}


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Of BF16 tensors the 16 bits of each element."""
    raw = path.read_bytes()
    (length,) = struct.unpack_from("<Q", raw)
    header = json.loads(raw[8 : 8 + length])
    header.pop("__metadata__", None)
    body = raw[8 + length :]
    return {
        name: np.frombuffer(
            body[slice(*entry["data_offsets"])], {"BF16": "<u2", "F32": "<f4"}[entry["dtype"]]
        ).reshape(entry["shape"])
        for name, entry in header.items()
    }


def _write(folder: Path, tensors: dict[str, np.ndarray], shards: int) -> None:
    names = sorted(tensors)
    if shards == 1:
        write_safetensors(folder / "model.safetensors", tensors)
        return
    table: dict[str, str] = {}
    for number in range(shards):
        file = f"model-{number + 1:05d}-of-{shards:05d}.safetensors"
        part = names[number::shards]
        write_safetensors(folder / file, {name: tensors[name] for name in part})
        table.update(dict.fromkeys(part, file))
    index = {"metadata": {}, "weight_map": table}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def write_safetensors(path: Path, tensors: dict[str, np.ndarray]) -> None:
    """F32 tensors, and BF16 ones that are given as their 16 bits."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, data in tensors.items():
        span = [at, at + data.nbytes]
        kind = "F32" if data.dtype == np.float32 else "BF16"
        header[name] = {"dtype": kind, "shape": list(data.shape), "data_offsets": span}
        at = span[1]
    raw = json.dumps(header).encode()
    raw += b" " * (-len(raw) % 8)
    content = b"".join(data.tobytes() for data in tensors.values())
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + content)


def _name(name: str) -> str:
    if name in _WHOLE:
        return _WHOLE[name]
    _blk, number, part, kind = name.split(".")
    return f"model.layers.{number}.{_NAMES[part]}.{kind}"


def _content(tensor: object) -> np.ndarray:
    name, shape = tensor.name, [int(n) for n in reversed(tensor.shape)]  # type: ignore[attr-defined]
    data = np.asarray(tensor.data)  # type: ignore[attr-defined]
    if data.dtype == np.float32:  # norms: BF16 once, and so without a loss again
        bits = data.view("<u4")
        assert not (bits & 0xFFFF).any()
        return (bits >> 16).astype("<u2").reshape(shape)
    bits = data.view("<u2").reshape(shape)
    for part, heads in (("attn_q", HEADS), ("attn_k", KV_HEADS)):
        if f".{part}." in name:
            half = shape[0] // heads // 2
            bits = bits.reshape(heads, half, 2, shape[1]).swapaxes(1, 2).reshape(shape)
    return np.ascontiguousarray(bits)


def _number(reader: GGUFReader, key: str) -> float:
    field = reader.fields[key]
    # As it was written down, and not as a float has it.
    return float(f"{float(field.parts[field.data[0]][0]):.6g}")


def _tokenizer(reader: GGUFReader) -> bytes:
    from sentencepiece import sentencepiece_model_pb2 as pb

    def values(key: str) -> list[object]:
        field = reader.fields[f"tokenizer.ggml.{key}"]
        return [field.parts[at] for at in field.data]

    model = pb.ModelProto()
    rows = zip(values("tokens"), values("scores"), values("token_type"), strict=True)
    for token, score, kind in rows:
        piece = model.pieces.add()
        piece.piece = bytes(token).decode("utf-8")  # type: ignore[call-overload]
        piece.score = float(score[0])  # type: ignore[index]
        piece.type = int(kind[0])  # type: ignore[index]
    model.trainer_spec.model_type = pb.TrainerSpec.BPE
    model.trainer_spec.vocab_size = len(model.pieces)
    model.trainer_spec.byte_fallback = True
    model.normalizer_spec.name = "identity"
    model.normalizer_spec.add_dummy_prefix = _flag(reader, "add_space_prefix")
    model.normalizer_spec.remove_extra_whitespaces = False
    raw: bytes = model.SerializeToString()
    return raw


def _flag(reader: GGUFReader, key: str) -> bool:
    field = reader.fields.get(f"tokenizer.ggml.{key}")
    return True if field is None else bool(field.parts[field.data[0]][0])
