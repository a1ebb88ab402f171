"""Make (or find) the private virtual environment of this checkout and print its Python's path.

Used by the ``ingot`` and ``dev`` scripts, before anything is installed: standard library only.
The environment lies in the cache, so the checkout stays clean. It is made under a lock and
counts only once its stamp is written: what a killed run leaves is made again from nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
PROJECT = REPOSITORY / "pyproject.toml"


def cache_dir() -> Path:
    """The same rule as ``ingot.paths.cache_dir``, which cannot be imported yet."""
    own = os.environ.get("INGOT_CACHE")
    if own:
        return Path(own).expanduser().absolute()
    xdg = os.environ.get("XDG_CACHE_HOME")
    base = Path(xdg) if xdg and os.path.isabs(xdg) else Path.home() / ".cache"
    return base / "ingot"


def environment_name(extras: str) -> str:
    """One environment per checkout, Python and set of extras."""
    facts = (sys.version, sys.base_prefix, str(REPOSITORY), extras)
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()[:16]


def say(message: str) -> None:
    """One line on stderr; stdout carries only the path."""
    print(message, file=sys.stderr, flush=True)


def check_spelling(folder: Path) -> None:
    """Python's own module venv writes the name into a text file."""
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        raise SystemExit(
            f"error: the name of the cache folder is not UTF-8: {os.fsencode(folder)!r}\n"
            "hint: set INGOT_CACHE to a folder with another name"
        ) from None


def create(folder: Path) -> None:
    """Make an empty environment in ``folder``."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        venv.create(folder, with_pip=True, symlinks=True)
    except subprocess.CalledProcessError as error:
        raise SystemExit(
            "error: this Python cannot make a virtual environment with pip in it\n"
            f"hint: on Debian and Ubuntu: apt-get install python3-venv ({sys.executable})"
        ) from error


def install(folder: Path, extras: str) -> None:
    """Install the checkout into the environment, editable, with everything it needs."""
    target = f"{REPOSITORY}[{extras}]" if extras else str(REPOSITORY)
    python = folder / "bin" / "python"
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [*command, "--editable", target],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        say("\n".join(done.stdout.splitlines()[-15:]))
        raise SystemExit(
            "error: pip could not install what Ingot needs (its last lines are above)\n"
            "hint: check the network, or point pip at an index: PIP_INDEX_URL, pip.conf"
        )


def ensure(extras: str) -> Path:
    """Return the environment's Python, making the environment if it is not there yet."""
    home = cache_dir() / "venvs"
    check_spelling(home)
    folder = home / environment_name(extras)
    stamp = folder / "ready"
    python = folder / "bin" / "python"
    wanted = hashlib.sha256(PROJECT.read_bytes()).hexdigest()

    def ready() -> bool:
        return python.exists() and stamp.exists() and stamp.read_text() == wanted

    if ready():
        return python
    home.mkdir(parents=True, exist_ok=True)
    with (home / f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if ready():
            return python
        if python.exists() and stamp.exists():  # whole, but pyproject.toml has changed since
            say("Updating Ingot's Python environment")
            stamp.unlink()
        else:
            say(f"Setting up Ingot's Python environment in {folder} (once)")
            create(folder)
        install(folder, extras)
        stamp.write_text(wanted)
    return python


if __name__ == "__main__":
    try:
        print(ensure(",".join(sys.argv[1:])))
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except OSError as problem:
        raise SystemExit(
            f"error: cannot set up Ingot's Python environment: {problem}\n"
            "hint: set INGOT_CACHE to a folder that you may write to"
        ) from problem
