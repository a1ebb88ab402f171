"""``ingot test``: run a recipe's tests against what was built from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from ingot.bundle.amend import record as record_results
from ingot.bundle.manifest import RecordedTest
from ingot.commands import json_option, print_json, print_text
from ingot.commands._recipes import built, of_built, open_recipe
from ingot.console import Console
from ingot.errors import AnswerNo, InputError
from ingot.recipe.expectations import Outcome, run_tests


@click.command(
    short_help="Run a recipe's tests against its executables.",
    epilog="Example: ingot build model.toml && ingot test model.toml",
)
@of_built
@click.option(
    "--record", is_flag=True, help="Write into each executable's manifest how they ended."
)
@click.option("--if-any", is_flag=True, help="Be content with a recipe that has no tests.")
@json_option
def command(
    recipe: Path,
    place: Path,
    targets: tuple[str, ...],
    record: bool,
    if_any: bool,
    as_json: bool,
) -> None:
    """Run the tests of RECIPE against the executables that were built from it.

    Exit code 1 when one fails.
    """
    opened = open_recipe(recipe, targets=targets)
    if not opened.recipe.test and if_any:
        opened = replace(opened, orders=())
    elif not opened.recipe.test:
        raise InputError(
            f"{recipe}: has no tests", hint="add a [[test]] with prompt and expect", code="no-tests"
        )
    results: dict[str, list[Outcome]] = {}
    progress = Console()
    for executable in built(opened, place):
        outcomes = run_tests(executable, opened.recipe.test, opened.folder, progress)
        results[executable.name] = outcomes
        if record:
            tests = tuple(RecordedTest(one.name, one.passed) for one in outcomes)
            record_results(executable, progress, tests=tests)
    failed = [o for outcomes in results.values() for o in outcomes if not o.passed]
    if as_json:
        print_json(
            {
                "passed": not failed,
                "results": {name: [o.to_json() for o in found] for name, found in results.items()},
            }
        )
        click.get_current_context().exit(1 if failed else 0)
    for name, outcomes in results.items():
        _show(name, outcomes)
    if failed:
        raise AnswerNo(f"{len(failed)} of the recipe's tests failed", code="tests-failed")


def _show(name: str, outcomes: list[Outcome]) -> None:
    print_text(name)
    for outcome in outcomes:
        took = ""
        if outcome.first_token_seconds is not None and outcome.memory is not None:
            megabytes = outcome.memory / 1e6
            took = f"  first token {outcome.first_token_seconds:.2f} s, {megabytes:.0f} MB"
        if outcome.verdict is not None:
            took = f"  {outcome.verdict}"
        print_text(f"  {'ok' if outcome.passed else 'NO'}  {outcome.name}{took}")
        for problem in outcome.problems:
            print_text(f"      {problem}")
