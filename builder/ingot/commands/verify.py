"""``ingot verify``: is every byte of an executable what it was when it was made?"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from ingot.bundle.reader import open_bundle
from ingot.bundle.verify import verify
from ingot.commands import json_option, print_json, print_text
from ingot.console import Console, size
from ingot.errors import AnswerNo


@click.command(short_help="Check every byte of an executable against its manifest.")
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def command(file: Path, as_json: bool) -> None:
    """Check every byte of FILE against its manifest.

    Exit status 0: intact. 1: damaged; the entries and bytes are named. 5: truncated, or the
    manifest itself is damaged.
    """
    with open_bundle(file) as bundle:
        findings = verify(bundle, Console())
        checked = len(bundle.manifest.entries)
        length = bundle.manifest.file_size
    if as_json:
        print_json(
            {
                "path": str(file),
                "intact": not findings,
                "entries": checked,
                "findings": [asdict(finding) for finding in findings],
            }
        )
        if findings:
            raise click.exceptions.Exit(AnswerNo.exit_code)
        return
    if findings:
        for finding in findings:
            print_text(
                f"damaged: {finding.entry}: {finding.what} "
                f"(within bytes {finding.first} to {finding.last} of the file)"
            )
        names = ", ".join(dict.fromkeys(finding.entry for finding in findings))
        raise AnswerNo(f"{file}: damaged: {names}", hint="get the executable again", code="damaged")
    print_text(f"{file}: intact, {checked} entries, {size(length)}")
