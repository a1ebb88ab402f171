"""The engine's own web UI, built from its npm sources with the pinned Node.js.

The sources are copied out of the read-only engine, built there, and only the result is kept:
1,060 packages (692 MB) come and go. The result is the same for the same engine and Node.js.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from ingot import process
from ingot.console import Progress, Step
from ingot.engine.pin import EnginePin
from ingot.engine.weblicenses import license_text
from ingot.errors import IntegrityError, NetworkError
from ingot.paths import cache_dir, ensure_entry
from ingot.toolchain.node import Node

LICENSES = "licenses.txt"
_FORMAT = "2"  # raise it when the way of building changes what comes out

# SvelteKit names each build by the time of day, and that name is part of the program's text and
# so of every file name derived from it. A configuration of ours, put first, names it by the engine.
_CONFIG = """\
import upstream from './svelte.config.upstream.js';
const version = { ...upstream.kit.version, name: process.env.INGOT_UI_VERSION };
export default { ...upstream, kit: { ...upstream.kit, version } };
"""
_MUST_HAVE = ("index.html", "manifest.webmanifest", "sw.js", "build.json")
_NETWORK_SIGNS = (
    "ENOTFOUND",
    "ECONNREFUSED",
    "ECONNRESET",
    "ETIMEDOUT",
    "EAI_AGAIN",
    "EHOSTUNREACH",
    "ENETUNREACH",
    "E404",
    "E401",
    "E403",
    "network request",
    "ERR_SOCKET_TIMEOUT",
)


def webui_key(pin: EnginePin, node: Node) -> str:
    """What the built UI depends on: the engine (with its lock file), Node.js, and our way."""
    facts = (pin.package.sha256, node.package.sha256, _CONFIG, _FORMAT)
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()


def webui_folder(key: str) -> Path:
    """Where the UI with this key is, or would be."""
    return cache_dir() / "webui" / key[:32]


def ensure_webui(engine: Path, pin: EnginePin, node: Node, progress: Progress) -> Path:
    """The folder with ``dist/`` and ``licenses.txt``, built if it is not in the cache.

    Raises NetworkError when npm cannot get its packages, ToolchainError when the build fails.
    """
    folder = webui_folder(webui_key(pin, node))
    if folder.is_dir():
        return folder
    with progress.step("Building the web page") as step:
        return ensure_entry(
            folder,
            lambda temporary: _build(engine / "tools" / "ui", temporary, pin, node, step),
            on_wait=lambda: step.update(0, None, "waiting for another run that builds it"),
        )


def _build(source: Path, folder: Path, pin: EnginePin, node: Node, step: Step) -> None:
    work = folder / "work"
    log = cache_dir() / "logs" / "webui.log"
    log.unlink(missing_ok=True)
    step.update(0, None, "copying its sources")
    # Contents only: the engine's files are read-only, and npm writes beside them.
    shutil.copytree(source, work, copy_function=shutil.copyfile)
    (work / "svelte.config.js").rename(work / "svelte.config.upstream.js")
    (work / "svelte.config.js").write_text(_CONFIG)
    env = node.env() | {
        "LLAMA_BUILD_NUMBER": pin.commit,
        "INGOT_UI_VERSION": pin.commit,
        "SOURCE_DATE_EPOCH": "315532800",
        "LLAMA_UI_OUT_DIR": "./dist",
    }
    step.update(0, None, "fetching its npm packages")
    _npm_ci(work, node, env, log)
    step.update(0, None, "drawing icons")
    process.run(
        [node.npm, "run", "build"],
        cwd=work,
        env=env,
        log=log,
        on_line=lambda line: _follow(line, step),
        what="the build of the web page",
    )
    _check(work / "dist")
    step.update(0, None, "collecting licences")
    (folder / LICENSES).write_text(license_text(work), "utf-8")
    shutil.move(work / "dist", folder / "dist")
    step.update(0, None, "removing npm packages")
    shutil.rmtree(work)


def _npm_ci(work: Path, node: Node, env: dict[str, str], log: Path) -> None:
    # No package's install script runs: nothing here needs one, and they are arbitrary programs.
    argv: list[str | Path] = [node.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = process.run(argv, cwd=work, env=env, log=log, check=False, what="npm ci")
    if done.status == 0:
        return
    said = [line for line in done.lines if "npm error" in line] or list(done.lines)
    quoted = "".join(f"\n    {line[:300]}" for line in said[:6])
    if "EINTEGRITY" in quoted:
        raise IntegrityError(
            f"an npm package of the web page does not have the locked hash{quoted}",
            hint=f"do not use this registry before you know why it differs; log: {log}",
            code="hash-mismatch",
        )
    network = any(sign in line for line in said for sign in _NETWORK_SIGNS)
    raise NetworkError(
        f"the npm packages of the web page could not be installed{quoted}",
        hint=(
            "check the network and npm's settings (.npmrc, npm_config_registry, HTTPS_PROXY)"
            if network
            else "npm's own words are above"
        )
        + f"; log: {log}",
        code="npm-failed",
    )


def _follow(line: str, step: Step) -> None:
    """vite says four things in order, twice; show them, without a count that would be invented."""
    text = line.strip()
    if "modules transformed" in text or text.startswith(("transforming", "rendering", "computing")):
        step.update(0, None, text.removeprefix("✓ ").rstrip("."))
    elif "vite v" in text and " building " in text:
        step.update(0, None, text[text.index("building ") :].rstrip("."))


def _check(dist: Path) -> None:
    missing = [name for name in _MUST_HAVE if not (dist / name).is_file()]
    if missing:
        raise IntegrityError(
            f"the build of the web page left out {', '.join(missing)}", code="incomplete-webui"
        )
