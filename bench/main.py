"""Compare hopla with the textbook way: `bench/run <figure>`; see README.md."""

import argparse
import importlib
import signal
import sys
import time

from bench import results, scaling_page
from bench.stage import Stage
from script import servers

FIGURES = (
    *("accept", "spread", "drain", "traffic", "memory", "slow-clients"),
    *("lists", "polls", "recovery", "trickle", "resume", "direct"),
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    parser.add_argument("figure", choices=[*FIGURES, "all"])
    parser.add_argument("--rounds", type=int, default=3, help="each measures both; default: %(default)s")
    parser.add_argument("--seconds", type=float, default=6, help="of load in each round; default: %(default)s")
    parser.add_argument("--tickets", type=int, default=100_000, help="for lists, of 5 images; default: %(default)s")
    parser.add_argument("--hasten", type=float, default=10, help="resume: so many times as fast; default: %(default)s")
    parser.add_argument("--postgres", choices=servers.POSTGRES_SOURCES, help="whose; default: the system's, if any")
    parser.add_argument("--peer", choices=["tus-node"], help="for accept: another server to compare with as well")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # an exception, so that everything started is ended
    for figure in FIGURES if options.figure == "all" else (options.figure,):
        run(figure, options)


def run(figure: str, options: argparse.Namespace) -> None:
    module = importlib.import_module(f"bench.figures.{figure.replace('-', '_')}")
    load_before, started = results.load_average(), time.monotonic()
    with Stage(postgres=options.postgres) as stage:
        tables = module.measure(stage, options)
    command = f"bench/run {figure} --rounds {options.rounds} --seconds {options.seconds:g}"
    if figure == "lists":
        command += f" --tickets {options.tickets}"
    if figure == "resume":
        command += f" --hasten {options.hasten:g}"
    if options.postgres:
        command += f" --postgres {options.postgres}"
    if options.peer and figure == "accept":
        command += f" --peer {options.peer}"
    servers_used = f"PostgreSQL {stage.postgres_version}, settings by default"
    print(
        results.write(
            figure, module.__doc__, tables, command=command, load_before=load_before, servers_used=servers_used
        )
    )
    scaling_page.PAGE.write_text(scaling_page.page())
    print(f"({time.monotonic() - started:.0f} s)\n", flush=True)


if __name__ == "__main__":
    main()
