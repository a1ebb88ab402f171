"""Build tools that are pinned packages: no system compiler is needed."""
