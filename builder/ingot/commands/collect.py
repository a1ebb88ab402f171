"""``ingot collect``: what several jobs built, in one folder with one list of checksums."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from ingot.bundle.reader import is_bundle, open_bundle
from ingot.commands import json_option, print_json, print_text
from ingot.commands._outputs import OUTPUT_FOLDER
from ingot.console import size
from ingot.errors import InputError
from ingot.paths import make_folder
from ingot.toolchain.packages import sha256_of

SUMS = "SHA256SUMS"


@click.command(
    short_help="Gather executables from several jobs, with their checksums.",
    epilog="Example: ingot collect job-*/ -o release",
)
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=OUTPUT_FOLDER, default=Path("release"))
@json_option
def command(folders: tuple[Path, ...], output: Path, as_json: bool) -> None:
    """Copy every executable below FOLDERS into one folder and write SHA256SUMS beside them."""
    found = _executables(folders)
    make_folder(output)
    rows: list[dict[str, object]] = []
    for name, path in sorted(found.items()):
        target = output / name
        if not (target.exists() and target.samefile(path)):
            shutil.copy2(path, target)
        _make_executable(target)
        with open_bundle(target) as bundle:
            about = bundle.manifest.about
        digest, count = sha256_of(target), target.stat().st_size
        row: dict[str, object] = {"file": name, "target": about.target, "name": about.name}
        rows.append({**row, "size": count, "sha256": digest})
    sums = "".join(f"{row['sha256']}  {row['file']}\n" for row in rows)
    (output / SUMS).write_text(sums, "utf-8")
    if as_json:
        print_json({"folder": str(output), "executables": rows})
        return
    for row in rows:
        print_text(f"{str(row['sha256'])[:12]}…  {row['file']}, {size(int(str(row['size'])))}")
    print_text(str(output / SUMS))


def _make_executable(path: Path) -> None:
    """For all who may read it. CI systems that hand files from job to job drop permissions."""
    mode = path.stat().st_mode
    path.chmod(mode | (mode & 0o444) >> 2)


def _executables(folders: tuple[Path, ...]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder in folders:
        for path in [folder] if folder.is_file() else sorted(folder.rglob("*")):
            if not path.is_file() or not is_bundle(path):
                continue
            other = found.setdefault(path.name, path)
            if other is not path and sha256_of(other) != sha256_of(path):
                raise InputError(
                    f"{other} and {path} have one name and are not the same",
                    hint="give the recipe's targets different outputs",
                    code="duplicate-target",
                )
    if not found:
        raise InputError(
            f"there is no executable of Ingot's in {', '.join(map(str, folders))}",
            code="nothing-to-collect",
        )
    return found
