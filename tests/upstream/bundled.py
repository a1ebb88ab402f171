"""Executables in the place of llama-server: a shell script that takes its command line.

Where llama-server is told a repository of the Hub, an executable carries that model; where it is
told none, it is a router, which an executable is only when asked.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

_SCRIPT = """\
#!/bin/sh
repo= file= before=
for word do
    shift
    case $before in
        --hf-repo) repo=$word ;;
        --hf-file) file=$word ;;
        *) case $word in --hf-repo | --hf-file | --offline) ;; *) set -- "$@" "$word" ;; esac ;;
    esac
    before=$word
done
case $repo/$file in
{cases}
esac
"""


def script(to: Path, executables: Mapping[str, Path], *, other: Path, models: Path) -> Path:
    """Write the script. ``executables`` are by REPOSITORY/FILE, the file empty if none is named.

    ``other`` serves every other repository by its option ``-hf``, and is the router; ``models`` is
    an empty folder.
    """
    cases = [
        f'{shlex.quote(name)}) exec {shlex.quote(str(exe))} serve "$@" ;;'
        for name, exe in executables.items()
    ]
    run = f"exec {shlex.quote(str(other))} serve"
    cases.append(f'/) {run} --models-dir {shlex.quote(str(models))} "$@" ;;')
    cases.append(f'*) {run} --hf-repo "$repo" ${{file:+--hf-file "$file"}} "$@" ;;')
    to.write_text(_SCRIPT.format(cases="\n".join(f"    {case}" for case in cases)))
    to.chmod(0o755)
    return to
