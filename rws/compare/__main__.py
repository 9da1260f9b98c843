"""Compare arms over seeds at one budget.

    rws compare --config experiments/smoke.yaml
    rws compare --config camvid --data.root DIR --arms plain rws
    rws compare --config voc_cat --data.category dog --name voc_dog

Runs every arm with every seed, one after the other, in runs/<name>/<seed>/<arm>; what is finished is not run
again, and what was stopped goes on. Writes config.yaml, results.json, table.md and curves.png into
experiments/<name>. All flags of `rws train` are taken, too, for all arms. In a checkout
--config takes the name of a file in its experiments/.
"""

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from rws.cli import SWITCHES
from rws.config.flags import option_flags
from rws.errors import Parser, UserError, exit_code
from rws.runs.checkpoint import write_json, write_text
from rws.runtime.bars import say
from rws.runtime.signals import handled

if TYPE_CHECKING:
    from rws.compare.plan import Plan


def experiment_parser(prog: str, description: str) -> Parser:
    """The flags by which a command names an experiment and its part; those of `rws train` come on top."""
    parser = Parser(prog, description, further=option_flags(*SWITCHES))
    parser.add_argument(
        "--config", required=True, help="a file of an experiment, or the name of one in experiments/"
    )
    parser.add_argument("--name", help="name of the results and runs; default: the experiment's")
    parser.add_argument("--seeds", nargs="+", type=int, help="default: the experiment's")
    parser.add_argument("--arms", nargs="+", help="default: the experiment's")
    parser.add_argument("--threads", type=int, help="threads of torch; default: torch's choice")
    parser.add_argument("--out", type=Path, help="folder of the results; default: experiments/<name>")
    return parser


def planned(
    parser: Parser, arguments: list[str], arms: list[str] | None = None, *, equal_budget: bool = True
) -> tuple[Any, "Plan", Path]:
    """The own flags of a command line, the plan that all its flags ask for, and the folder of the results.

    arms: where the flags name none, in place of the experiment's.

    Raises: UserError as `make_plan`.
    """
    from rws.compare.plan import make_plan, read_experiment

    chosen, flags = parser.parse_known_args(arguments)
    experiment = read_experiment(chosen.config)
    experiment = replace(experiment, name=chosen.name or experiment.name)
    plan = make_plan(experiment, flags, chosen.seeds, chosen.arms or arms, equal_budget=equal_budget)
    return chosen, plan, chosen.out or Path("experiments") / experiment.name


def limit_threads(threads: int | None) -> None:
    """Let torch use so many threads, or as many as it likes."""
    # Imported late: a wrong flag is answered at once, without loading torch.
    import torch

    if threads:
        torch.set_num_threads(threads)


make_parser = partial(experiment_parser, "rws compare", __doc__)


def compare(plan: "Plan", out: Path) -> dict:
    """Run what is left of a plan and write its results; they are written anew after every finished seed.

    Raises: UserError for a wrong setting, and when the arms did not see as many images.
    """
    from rws.compare.arms import prune, run_arm
    from rws.compare.results import load_outcomes, settings_of, unequal_budgets

    write_text(out / "config.yaml", yaml.safe_dump(settings_of(plan), sort_keys=False))
    for number, seed in enumerate(plan.seeds, 1):
        for place, arm in enumerate(plan.arms, 1):
            say(f"== {arm} ({place} of {len(plan.arms)}), seed {seed} ({number} of {len(plan.seeds)})")
            run_arm(plan, arm, seed)
            prune(plan, seed)
        found = write_results(plan, out)
    if said := unequal_budgets(load_outcomes(plan)):
        raise UserError("; ".join(said))
    return found


def write_results(plan: "Plan", out: Path) -> dict:
    """results.json, table.md and curves.png of the seeds that all arms have finished."""
    from rws.compare.curves import draw
    from rws.compare.results import load_outcomes, results
    from rws.compare.tables import render

    found = results(plan, load_outcomes(plan))
    write_json(out / "results.json", found)
    write_text(out / "table.md", render(found))
    draw(found, out / "curves.png")
    return found


def main(arguments: list[str]) -> int:
    """Run the command line; the exit code."""

    def command() -> None:
        chosen, plan, out = planned(make_parser(), arguments)
        limit_threads(chosen.threads)
        with handled():
            compare(plan, out)
        say(*(out / "table.md").read_text().split("\n"))

    return exit_code(
        command,
        results="runs are written into --runs, results into --out",
        interrupted="interrupted; the same command goes on from the last checkpoint",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
