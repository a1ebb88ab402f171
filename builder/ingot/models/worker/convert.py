"""Runs the engine's converter in an environment of its own, with a record of where the model comes
from among the metadata. The arguments after the request are the converter's.
"""

import json
import runpy
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    """Start convert_hf_to_gguf.py as if it had been called."""
    request = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    engine = Path(request["engine"])
    sys.path[:0] = [str(engine), str(engine / "gguf-py")]

    from gguf import GGUFWriter

    write: Any = GGUFWriter.write_header_to_file

    def with_provenance(self: Any, *args: Any, **options: Any) -> None:
        """Before the header, which has the number of keys."""
        for key, value in sorted(request["provenance"].items()):
            self.add_string(key, value)
        write(self, *args, **options)

    GGUFWriter.write_header_to_file = with_provenance  # type: ignore[method-assign]
    script = engine / "convert_hf_to_gguf.py"
    sys.argv = [str(script), *sys.argv[2:]]
    runpy.run_path(str(script), run_name="__main__")


if __name__ == "__main__":
    main()
