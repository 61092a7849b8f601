"""`spsn ...`: the commands that the workflow's rules call and that a person may call too."""

import argparse
import logging
import os
import sys
from pathlib import Path

from spsn import __version__, arguments, commands, data_commands, verify_command
from spsn.errors import SpsnError
from spsn.processes import end_with_parent, heard_or_not


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 on success, 1 with a message where something must be put right, 130 when
    interrupted, 143 when asked to end.
    """
    options = parser().parse_args(arguments)
    with heard_or_not():
        return _run(options)


def _run(options: argparse.Namespace) -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    if options.follows and not options.detached:
        end_with_parent()  # before anything that takes time
    try:
        options.run(options)
    except SpsnError as error:
        print(f"spsn: {_printable(str(error))}", file=sys.stderr)
        return error.status
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("spsn: interrupted", file=sys.stderr)
        return 130
    return 0


def _printable(text: str) -> str:
    """Text that no terminal takes for a command: names in files and answers of servers stand in messages."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def parser() -> argparse.ArgumentParser:
    """The grammar of every command."""
    top = argparse.ArgumentParser(prog="spsn", description=__doc__)
    top.add_argument("--version", action="version", version=f"spsn {__version__}")
    of = top.add_subparsers(required=True, metavar="command")
    _settings_commands(of)
    data_commands.add(of, _command)
    _run_commands(of)
    _timing_commands(of)
    _report_commands(of)
    verify_command.add(of, _command)
    return top


def _command(of, name: str, run, help: str, *, follows: bool = False) -> argparse.ArgumentParser:
    """A command; one that `follows` works for long, and ends with the process that started it."""
    command = of.add_parser(name, help=help, description=help)
    command.set_defaults(run=run, follows=follows, detached=False)
    if follows:
        command.add_argument(
            "--detached", action="store_true", help="go on when the process that started this ends"
        )
    return command


def _paths(command: argparse.ArgumentParser, *options: str, help: str | None = None) -> None:
    """Paths without which a command cannot do."""
    for option in options:
        command.add_argument(option, type=Path, required=True, help=help)


def _settings_commands(of) -> None:
    c = _command(of, "settings", commands.settings, "check a configuration and write it as one JSON file")
    help = "YAML files, each laid over those before it"
    c.add_argument("--config", nargs="+", type=Path, required=True, help=help)
    _paths(c, "--out")


def _run_commands(of) -> None:
    help = "train the runs of one block, or go on where they were stopped"
    c = _command(of, "train", commands.train, help, follows=True)
    _paths(c, "--settings")
    c.add_argument("--block", required=True, help="experiment/model/condition")
    c.add_argument("--seeds", type=arguments.seeds, required=True, help="0-9 or 0,3,7")
    _paths(c, "--train", "--test", help="event store")
    _paths(c, "--results", help="results/<name>")

    help = "show trained networks the same input again and again"
    c = _command(of, "robustness", commands.robustness, help, follows=True)
    _paths(c, "--settings")
    _paths(c, "--test", help="event store")
    _paths(c, "--results", help="results/<name>, with the runs that are shown")
    _paths(c, "--out-trials", "--out-test-set")

    _weights_commands(of)

    c = _command(of, "illustrate", commands.illustrate, "simulate the neurons of Figure 1")
    _paths(c, "--settings", "--out")


def _weights_commands(of) -> None:
    help = (
        "test weights on a data file: a run's with the settings in the record beside them, others (the "
        "authors' published ones too) with the paper's, Table I: time constants of 20 ms, threshold 1, reset "
        "as in the authors' program, the readout's mean over time; the output says which"
    )
    c = _command(of, "evaluate", commands.evaluate, help)
    _paths(c, "--weights", help=".safetensors of a run, or a published .pt")
    c.add_argument("--model", help="of weights without a record; a run's record knows its own")
    _paths(c, "--test", help="event store")
    c.add_argument("--trials", type=arguments.positive, default=1, help="passes with new noise")

    help = "bring the authors' published weights, and count how often they are right on a test file"
    c = _command(of, "published-weights", commands.published_weights, help, follows=True)
    c.add_argument("--weights", required=True, help="'fetch', or the folder in which their outputs/ lie")
    c.add_argument("--folder", type=Path, default=Path("published-weights"), help="where they are fetched to")
    c.add_argument("--test", type=Path, help="HDF5 file in SHD's layout, such as shd_test.h5")
    c.add_argument("--limit", type=arguments.positive, help="use the first n samples only")
    help = "passes of a network that fires at random"
    c.add_argument("--trials", type=arguments.positive, default=10, help=help)
    c.add_argument("--published", type=Path, default=Path("paper/golden.csv"), help="what the authors report")
    c.add_argument(
        "--out", type=Path, help="write only where they lie, or why they could not be had (for the workflow)"
    )

    help = "run the authors' published weights for the report"
    c = _command(of, "golden", commands.golden, help, follows=True)
    _paths(c, "--settings")
    _paths(c, "--weights", help="what `published-weights --out` wrote")
    _paths(c, "--test", help="event store in steps of 1 ms")
    _paths(c, "--out-passes", "--out-about")


def _timing_commands(of) -> None:
    help = "measure one epoch of every model (Figure 3C)"
    c = _command(of, "time-epoch", commands.time_epoch, help, follows=True)
    _paths(c, "--settings")
    _paths(c, "--train", help="event store")
    _paths(c, "--out")

    help = "measure one layer against sequence length (Figure 5)"
    c = _command(of, "time-lengths", commands.time_lengths, help, follows=True)
    _paths(c, "--settings", "--out")

    help = "measure a training step of the comparison's methods against sequence length"
    c = _command(of, "time-methods", commands.time_methods, help, follows=True)
    _paths(c, "--settings", "--out")


def _report_commands(of) -> None:
    c = _command(of, "collect", commands.collect, "gather run records into one table")
    c.add_argument("records", type=Path, nargs="*")
    _paths(c, "--out")

    help = "execute a notebook; take out what changes every time"
    c = _command(of, "notebook", commands.notebook, help, follows=True)
    c.add_argument("notebook", type=Path)
    c.add_argument("--results", required=True, help="the folder that it is about")
    _paths(c, "--out")

    c = _command(of, "provenance", commands.provenance, "write machine, versions, configuration and commands")
    _paths(c, "--settings", "--results")
    c.add_argument(
        "--command", action="extend", nargs="+", default=[], help="the commands that made these results"
    )
    c.add_argument(
        "--with-comparison", action="store_true", help="of part II, the comparison of methods, too"
    )
    _paths(c, "--out")

    c = _command(of, "report", commands.report, "typeset the report", follows=True)
    _paths(c, "--settings", "--results")
    c.add_argument("--source", type=Path, default=Path("paper/report.tex"))
    c.add_argument("--with-comparison", action="store_true", help="with part II, the comparison of methods")
    _paths(c, "--out")


if __name__ == "__main__":
    sys.exit(main())
