"""Prints the table of docs/reference/downloads.md as it is now."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from tests.faults.downloads import CASES, row, run_case
from tests.faults.test_downloads import make_certificate
from tests.golden.samples import seed_cache


def main() -> None:
    print("| fault | what happens | exit code | message |")
    print("|---|---|---|---|")
    for case in CASES:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            os.environ["INGOT_CACHE"] = str(folder / "cache")
            os.environ["INGOT_GPU"] = "none"
            seed_cache()
            make_certificate(folder / "both.pem")
            exit_code, message, after = run_case(case, folder, folder / "both.pem")
            mark = "" if exit_code == case.exit_code and after else "WRONG "
            print(mark + row(case, exit_code, message), flush=True)


main()
