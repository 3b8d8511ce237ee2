"""`bnrepro claims`"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bnrepro.cli.arguments import output_directory
from bnrepro.cli.columns import columns

if TYPE_CHECKING:
    from bnrepro.claims.claim import Claim
    from bnrepro.claims.run import Launch, Settings
    from bnrepro.sweep.plan import Plan

PLACES = ("launcher.", "data.root=", "data.cache_dir=")
"""Overrides that say where, and not what."""


def claims(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ID]... [OVERRIDES]",
            help="1, 5.1 …, all for none; and launcher.KEY=VALUE, data.root=DIR, data.cache_dir=DIR.",
        ),
    ] = None,
    only_list: Annotated[bool, typer.Option("--list", help="Print the claims, and run nothing.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            parser=output_directory,
            metavar="DIR",
            help="For the runs and the page. Default: results/runs/claims, with -cifar10 for that data.",
        ),
    ] = None,
    jobs: Annotated[str, typer.Option(metavar="auto|N", help="Runs side by side.")] = "auto",
    launcher: Annotated[str, typer.Option(metavar="local|slurm")] = "local",
    fresh_seeds: Annotated[
        int | None, typer.Option(metavar="FIRST", help="Judge on the seeds from FIRST on. Default: 100.")
    ] = None,
    slow: Annotated[bool, typer.Option("--slow", help="Also the experiments that take long.")] = False,
    data: Annotated[
        str, typer.Option(metavar="digits|cifar10", help="What to test on; cifar10: 1, 5.1, 5.2 and 5.3.")
    ] = "digits",
) -> None:
    """The source's claims about batch normalization, each with an experiment and a verdict.

    Example: bnrepro claims 5.1 --out results/runs/claims

    Interrupt at any time; the same command continues.
    """
    from bnrepro.claims.experiment import CIFAR10, DATA
    from bnrepro.claims.run import Settings, choose
    from bnrepro.config.errors import check_choice

    check_choice("--data", data, DATA)
    check_choice("--launcher", launcher, ("local", "slurm"))
    ids, overrides = _sorted(words or [])
    chosen = choose(ids, data)
    if only_list:
        rows = [(claim.id, claim.title) for claim in chosen]
        typer.echo("\n".join(columns(("claim", "what is claimed"), rows, ())))
        return

    directory = out or Path("results/runs/claims" + (f"-{data}" if data == CIFAR10 else ""))
    settings = Settings(
        directory,
        _first_seed(fresh_seeds),
        [f"launcher={launcher}", *overrides],
        _launch(launcher, jobs),
        data,
        slow,
    )
    _judge(chosen, settings)


def _judge(chosen: Sequence[Claim], settings: Settings) -> None:
    """Run what is missing, print the verdicts and write the page."""
    from bnrepro.claims.page import judged_before, write_claims
    from bnrepro.claims.run import run_claims
    from bnrepro.claims.verdict import together
    from bnrepro.training.process.device import resolve_device
    from bnrepro.training.process.environment import environment
    from bnrepro.training.process.interrupt import interrupted_by

    directory, data = settings.directory, settings.data
    judged_before(directory, data)  # a page that does not fit is said before anything runs
    with interrupted_by(signal.SIGTERM):
        judged, found = run_claims(chosen, settings, typer.echo)
    verdicts = [(one.claim.id, one.claim.title, together(one.parts)) for one in judged]
    typer.echo("\n".join(columns(("claim", "", "verdict"), verdicts, ())))
    for path in write_claims(judged, found, directory, environment(resolve_device("auto")), data):
        typer.echo(path)
    if len(judged) < len(chosen):
        typer.echo("the other claims wait for their jobs; give the same command again")


def _first_seed(asked: int | None) -> int:
    """Of those that judge. Raises `UsageError` for one that anything was chosen on."""
    from bnrepro.claims.experiment import FIRST_JUDGING_SEED, SEARCH_SEEDS
    from bnrepro.config.errors import UsageError

    first = FIRST_JUDGING_SEED if asked is None else asked
    if first <= max(SEARCH_SEEDS):
        raise UsageError(
            f"--fresh-seeds {first}: rates are chosen on seeds up to {max(SEARCH_SEEDS)}; give a larger one"
        )
    return first


def _sorted(words: list[str]) -> tuple[list[str], list[str]]:
    """Ids and overrides. Raises `UsageError` for one that could change what is found."""
    from bnrepro.config.errors import UsageError, shown

    overrides = [word for word in words if "=" in word]
    for override in overrides:
        if not override.startswith(PLACES):
            raise UsageError(
                f"{shown(override)}: would test something else than the claim; only launcher.KEY, data.root "
                "and data.cache_dir may be given"
            )
    return [word for word in words if "=" not in word], overrides


def _launch(launcher: str, jobs: str) -> Launch:
    from bnrepro.sweep.local import parse_jobs
    from bnrepro.sweep.run import has_ended, run_sweep

    number = parse_jobs(jobs)

    def local(plan: Plan, directory: Path) -> bool:
        run_sweep(plan, directory, number)
        return True

    def slurm(plan: Plan, directory: Path) -> bool:
        from bnrepro.data import load_data
        from bnrepro.sweep.slurm.parameters import slurm_config
        from bnrepro.sweep.slurm.submit import submit_sweep

        if has_ended(plan, directory):  # what cannot train would fail, and be waited for, again and again
            return True
        dataset = load_data(plan.cells[0].config.data)
        submit_sweep(plan, directory, slurm_config(plan.base.launcher), dataset, None)
        return has_ended(plan, directory)

    return slurm if launcher == "slurm" else local
