"""The demo model with a chat template of the test's choosing."""

from __future__ import annotations

from pathlib import Path

from gguf import GGUFReader, GGUFWriter

from tests.models import DEMO
from tests.models.ggufs import copy_metadata, copy_tensors, save, string_value


def with_template(to: Path, template: str) -> Path:
    """Write the demo model to ``to`` with ``template`` as its chat template."""
    reader = GGUFReader(DEMO)
    writer = GGUFWriter(to, string_value(reader, "general.architecture"))
    copy_metadata(reader, writer)
    writer.add_chat_template(template)
    copy_tensors(reader.tensors, writer)
    return save(writer, to)
