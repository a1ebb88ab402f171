"""What a fault happens on: a Hub with one model, and the command that builds from it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.golden.samples import write_model
from tests.hub.server import Hub
from tests.models import DEMO

REPO = "org/tiny-GGUF"
NAME = "tiny-Q4_K_M.gguf"


@dataclass
class Stage:
    """What a fault happens on: a Hub with one model, and the command that builds it."""

    hub: Hub
    folder: Path
    model: Path
    commit: str
    reference: str = REPO
    options: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)

    @property
    def hub_cache(self) -> Path:
        return self.folder / "hf"

    @property
    def blob(self) -> Path:
        name = hashlib.sha256(self.model.read_bytes()).hexdigest()
        return self.hub_cache / "models--org--tiny-GGUF" / "blobs" / name

    def argv(self) -> list[str]:
        out = str(self.folder / "out")
        program = [sys.executable, "-P", str(Path(__file__).with_name("quick.py"))]
        return [*program, "build", self.reference, "-o", out, "--force", *self.options]

    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
        own = {"HF_ENDPOINT": self.hub.url, "HF_HUB_CACHE": str(self.hub_cache)}
        own["HF_HOME"] = str(self.folder / "home")
        return {**kept, **own, **self.env}

    def build(self) -> subprocess.CompletedProcess[str]:
        """Run the command to its end."""
        return subprocess.run(
            self.argv(),
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def leave(self, content: bytes, validator: str | None = None) -> None:
        """What a run that was killed left of the model."""
        self.blob.parent.mkdir(parents=True, exist_ok=True)
        path = self.blob.with_name(self.blob.name + ".incomplete")
        path.write_bytes(content)
        note = {"validator": validator, "total": self.model.stat().st_size}
        path.with_name(path.name + ".json").write_text(json.dumps(note))

    @property
    def validator(self) -> str:
        """What the CDN calls this version of the model."""
        return f'"cdn-{self.blob.name[:16]}"'


def make_stage(hub: Hub, folder: Path, *, small: bool) -> Stage:
    """A repository with one model; a few kilobytes unless the case needs more."""
    model = folder / NAME
    if small:
        write_model(model)
    else:
        shutil.copyfile(DEMO, model)
    commit = hub.add(REPO, {NAME: model})
    return Stage(hub, folder, model, commit)


def message_of(stderr: str, stage: Stage) -> str:
    """The error as the document has it: what differs from run to run is replaced."""
    lines = [line for line in stderr.splitlines() if line.startswith(("error: ", "hint: "))]
    known: Mapping[str, str] = {
        stage.env.get("HF_ENDPOINT", stage.hub.url): "HUB",
        stage.hub.url: "HUB",
        stage.hub.cdn_url: "CDN",
        str(stage.hub_cache): "CACHE",
        str(stage.folder): "…",
        stage.env.get("INGOT_CACHE", os.environ.get("INGOT_CACHE", "?")): "CACHE",
        stage.commit: "COMMIT",
        "0" * 40: "COMMIT",
        "127.0.0.1": "hub.example",
        "127.0.0.2": "cdn.example",
    }
    text = "<br>".join(f"`{line}`" for line in lines)
    for long, short in known.items():
        text = text.replace(long, short)
    text = re.sub(r"urls/[0-9a-f]{32}", "urls/KEY", text)
    return re.sub(r"[0-9a-f]{32,64}", lambda found: found[0][:4] + "…", text)
