"""An audio projector with random weights, and a sound for it: the model then hears, but not well.

The type is ``ultravox``: a Whisper encoder of one block behind two convolutions, whose frames are
stacked by four and projected. Keys and tensor names: upstream's ``tools/mtmd/clip-impl.h``,
``clip_model_loader`` in ``clip.cpp`` and ``models/whisper-enc.cpp``.
"""

from __future__ import annotations

import io
import math
import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt
from gguf import GGUFWriter

from tests.models.ggufs import save

Floats = npt.NDArray[np.float32]

EMBEDDING = 32
HIDDEN = 64
MEL_BINS = 80
STACK = 4
POSITIONS = 1500
"""Positions of the encoder, for a window of 30 s to which every sound is padded."""

SAMPLE_RATE = 16_000


def audio_projector(to: Path, *, projection: int = 256, seed: int = 15) -> Path:
    """Write a projector whose audio embeddings have ``projection`` elements, 375 per 30 s."""
    writer = GGUFWriter(to, "clip")
    writer.add_type("mmproj")
    writer.add_name("PyStdlib 7M test hearing")
    writer.add_clip_has_audio_encoder(True)
    writer.add_clip_projector_type("ultravox")
    writer.add_audio_projection_dim(projection)
    writer.add_audio_embedding_length(EMBEDDING)
    writer.add_audio_feed_forward_length(HIDDEN)
    writer.add_audio_block_count(1)
    writer.add_audio_head_count(2)
    writer.add_audio_attention_layernorm_eps(1e-5)
    writer.add_audio_num_mel_bins(MEL_BINS)
    writer.add_audio_stack_factor(STACK)
    for name, tensor in _tensors(np.random.default_rng(seed), projection).items():
        writer.add_tensor(name, tensor)
    return save(writer, to)


def _tensors(
    rng: np.random.Generator, projection: int
) -> dict[str, Floats | npt.NDArray[np.float16]]:
    def normal(*shape: int) -> Floats:
        deviation = np.float32(math.prod(shape[1:]) ** -0.5)
        return rng.standard_normal(shape, dtype=np.float32) * deviation

    def zeros(*shape: int) -> Floats:
        return np.zeros(shape, dtype=np.float32)

    ones = np.ones(EMBEDDING, dtype=np.float32)
    block = {f"ln{number}.weight": ones for number in (1, 2)}
    block |= {f"ln{number}.bias": zeros(EMBEDDING) for number in (1, 2)}
    block |= {f"attn_{part}.weight": normal(EMBEDDING, EMBEDDING) for part in ("q", "k", "v")}
    block |= {f"attn_{part}.bias": zeros(EMBEDDING) for part in ("q", "v", "out")}
    block |= {"attn_out.weight": normal(EMBEDDING, EMBEDDING)}
    block |= {"ffn_up.weight": normal(HIDDEN, EMBEDDING), "ffn_up.bias": zeros(HIDDEN)}
    block |= {"ffn_down.weight": normal(EMBEDDING, HIDDEN), "ffn_down.bias": zeros(EMBEDDING)}
    return {
        # F16, because that is what ggml_conv_1d multiplies with.
        "a.conv1d.1.weight": normal(EMBEDDING, MEL_BINS, 3).astype(np.float16),
        "a.conv1d.1.bias": zeros(EMBEDDING, 1),
        "a.conv1d.2.weight": normal(EMBEDDING, EMBEDDING, 3).astype(np.float16),
        "a.conv1d.2.bias": zeros(EMBEDDING, 1),
        "a.position_embd.weight": normal(POSITIONS, EMBEDDING),
        **{f"a.blk.0.{name}": tensor for name, tensor in block.items()},
        "a.post_ln.weight": ones,
        "a.post_ln.bias": zeros(EMBEDDING),
        "mm.a.norm_pre.weight": np.ones(EMBEDDING * STACK, dtype=np.float32),
        "mm.a.mlp.1.weight": normal(2 * HIDDEN, EMBEDDING * STACK),
        "mm.a.norm_mid.weight": np.ones(HIDDEN, dtype=np.float32),
        "mm.a.mlp.2.weight": normal(projection, HIDDEN) * np.float32(0.07),
    }


def tone(frequency: float, *, seconds: float = 20) -> bytes:
    """A sine of ``frequency`` Hz as a WAV file: mono, 16 bits, 16,000 samples per second."""
    times = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    samples = (20_000 * np.sin(2 * math.pi * frequency * times)).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE)
        out.writeframes(samples.tobytes())
    return file.getvalue()
