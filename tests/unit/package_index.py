"""A package index in a folder: real pip, tiny packages, no network."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from ingot.toolchain.packages import Package

WHEEL = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"


@dataclass(frozen=True)
class Index:
    """The folder that pip is pointed at."""

    folder: Path

    def wheel(
        self, name: str, version: str, files: dict[str, bytes], *, mode: int = 0o644
    ) -> Package:
        """Write a wheel; files below a ``bin`` or ``scripts`` folder are executable."""
        stem = f"{name.replace('-', '_')}-{version}"
        path = self.folder / f"{stem}-py3-none-any.whl"
        info = {
            f"{stem}.dist-info/METADATA": METADATA.format(name=name, version=version).encode(),
            f"{stem}.dist-info/WHEEL": WHEEL,
            f"{stem}.dist-info/RECORD": b"",
        }
        with zipfile.ZipFile(path, "w") as archive:
            for member, content in {**files, **info}.items():
                entry = zipfile.ZipInfo(member)
                entry.external_attr = (
                    0o100000 | (0o755 if "/bin/" in member or "/scripts/" in member else mode)
                ) << 16
                archive.writestr(entry, content)
        return self.package(name, version, path)

    def sdist(self, name: str, version: str, files: dict[str, bytes]) -> Package:
        """Write a source archive whose build backend does not exist on this machine."""
        stem = f"{name.replace('-', '_')}-{version}"
        path = self.folder / f"{stem}.tar.gz"
        project = b'[build-system]\nrequires = ["no-such-thing"]\nbuild-backend = "no_such.build"\n'
        own = {
            "PKG-INFO": METADATA.format(name=name, version=version).encode(),
            "pyproject.toml": project,
        }
        with tarfile.open(path, "w:gz") as archive:
            for member, content in {**own, **files}.items():
                entry = tarfile.TarInfo(f"{stem}/{member}")
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        return self.package(name, version, path, backend="no_such.build")

    def package(self, name: str, version: str, path: Path, backend: str | None = None) -> Package:
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        return Package(name, version, path.name, len(data), digest, backend)
