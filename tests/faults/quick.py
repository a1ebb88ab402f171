"""``python -m ingot`` that does not wait between tries; everything else is what users run."""

from __future__ import annotations

import sys

from ingot.__main__ import main
from ingot.sources import web
from ingot.sources.retry import Patience

QUICK = Patience(first_pause=0.01, longest_pause=0.02, connect=5.0, read=1.0)
setattr(web, "Patience", lambda: QUICK)  # noqa: B010 # what a client uses if it is given none

if __name__ == "__main__":
    sys.exit(main())
