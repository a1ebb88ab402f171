"""``/v1/audio/transcriptions``, asked by the ``openai`` package."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.clients.conftest import openai_client
from tests.conftest import Cast
from tests.models import DEMO
from tests.models.hearing import audio_projector, tone
from tests.serving import Server, serving

pytestmark = pytest.mark.runtime


@pytest.fixture(scope="module")
def hearing(cast: Cast, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The demo with a carried audio projector."""
    projector = audio_projector(tmp_path_factory.mktemp("hearing") / "mmproj.gguf")
    with serving(cast(DEMO, name="hearing", mmproj=projector), "-t", "1", "-c", "1024") as running:
        yield running


def transcribe(client: openai.OpenAI, sound: bytes, **more: Any) -> Any:
    """Any, because the client's overloads are many."""
    create: Any = client.audio.transcriptions.create
    file = ("tone.wav", sound, "audio/wav")
    return create(model="hearing", file=file, temperature=0, extra_body={"max_tokens": 12}, **more)


def test_what_is_heard_decides_the_text(hearing: Server) -> None:
    client = openai_client(hearing)
    low, high = (transcribe(client, tone(frequency)).text for frequency in (200, 3000))
    assert low and high and low != high
    assert transcribe(client, tone(200)).text == low


def test_a_transcription_streams(hearing: Server) -> None:
    client = openai_client(hearing)
    events = list(transcribe(client, tone(200), stream=True))
    deltas = [event.delta for event in events if event.type == "transcript.text.delta"]
    assert events[-1].type == "transcript.text.done"
    assert "".join(deltas) == events[-1].text == transcribe(client, tone(200)).text


def test_a_file_that_is_no_sound_is_refused(hearing: Server) -> None:
    with pytest.raises(openai.BadRequestError, match="Failed to load image or audio file"):
        transcribe(openai_client(hearing), b"not a sound at all")


def test_a_model_that_does_not_hear_says_so(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as refused:
        transcribe(client, tone(200))
    assert refused.value.status_code == 501
    assert "does not support audio input" in refused.value.message
