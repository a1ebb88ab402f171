"""``ingot doctor``: the facts about this machine, and what follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import click

from ingot.commands import json_option, print_json, print_text
from ingot.console import size
from ingot.engine.pin import load_sources
from ingot.engine.survey import Check, Ingredient, Survey, judge, survey


@click.command(short_help="Say what this machine offers to Ingot, and what is missing.")
@click.option("--network", is_flag=True, help="Also ask the package index for one small file.")
@json_option
@click.pass_context
def command(ctx: click.Context, network: bool, as_json: bool) -> None:
    """Say what this machine offers to Ingot, and what is missing.

    The exit status is 1 if something stands in the way of a build.
    """
    facts = survey(load_sources(), network=network)
    checks = judge(facts)
    ready = all(check.ok for check in checks)
    if as_json:
        print_json(document(facts, checks))
    else:
        print_text(report(facts, checks))
    ctx.exit(0 if ready else 1)


def document(facts: Survey, checks: Sequence[Check]) -> dict[str, object]:
    """The JSON document: all facts, all judgements, and the verdict."""
    plain = asdict(facts)
    plain["cache"]["path"] = str(facts.cache.path)
    return {
        "ready": all(check.ok for check in checks),
        "checks": [asdict(check) for check in checks],
        **plain,
    }


def report(facts: Survey, checks: Sequence[Check]) -> str:
    """The same for people."""
    machine, cache = facts.machine, facts.cache
    rows = [
        ("system", f"{machine.system}, {machine.host}, {machine.libc}"),
        ("processor", f"{machine.cpu}, {machine.cores} cores"),
        ("", " ".join(machine.cpu_features) or "no feature that a CPU module would use"),
        ("memory", size(machine.memory)),
        ("python", f"{machine.python}, {machine.executable}"),
        ("cache", f"{cache.path}: {size(cache.used)} used, {size(cache.free)} free"),
        ("engine", f"llama.cpp {facts.commit}, {_ingredient(facts.engine)}"),
    ]
    rows += [("tool" if n == 0 else "", _ingredient(t)) for n, t in enumerate(facts.tools)]
    rows.append(("runtime", f"{facts.target}, {facts.runtime_key[:16]}, {_source(facts)}"))
    lines = [f"{name:<10} {value}" for name, value in rows]
    lines.append("")
    for check in checks:
        lines.append(f"{'ok ' if check.ok else 'NO '} {check.name}: {check.reason}")
        if check.remedy and not check.ok:
            lines.append(f"    {check.remedy}")
    return "\n".join(lines)


def _source(facts: Survey) -> str:
    if facts.runtime_carried:
        return "carried by this copy of Ingot"
    return "cached" if facts.runtime_cached else "not built yet"


def _ingredient(item: Ingredient) -> str:
    state = "cached" if item.cached else "not fetched yet"
    return f"{item.name} {item.version}, {state}"
