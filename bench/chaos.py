"""Sixteen clients send photos in each of the ways that there are, and receivers take webhooks, while workers, web
server, Redis, PostgreSQL and Cloudinary are killed, cut off and faked, and receivers are gone, hang and fail.

    .venv/bin/python bench/chaos.py --minutes 5 --seed 1

Everything runs on servers of its own, with short waits unless --defaults is given. Prints what was done, how long
recovery took, what became of the photos, and whether the books balance; exits with 1 when they do not.
"""

import argparse
import os
import statistics
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

DEFAULT_WAITS = {"UPLOAD_TIMEOUT_SECONDS": "30", "RECONCILE_AFTER_SECONDS": "30", "UPLOAD_MAX_ATTEMPTS": "8"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--staging-servers", type=int, default=0, help="Redis servers for the photos alone")
    parser.add_argument("--defaults", action="store_true", help="wait as long as hopla does by default")
    options = parser.parse_args()
    set_up_django()
    from tests.faults.chaos import ENVIRONMENT, run
    from tests.faults.world import World

    environment = ENVIRONMENT | (DEFAULT_WAITS if options.defaults else {})
    servers = {"workers": options.workers, "staging_servers": options.staging_servers}
    with World(own_database=True, **servers, environment=environment) as world:
        report = run(world, seconds=60 * options.minutes, seed=options.seed, number_of_clients=options.clients)
    show(report)
    return 0 if report.balances else 1


def set_up_django() -> None:
    """Django with a database address at which nothing listens: until the run has its own, none may be touched."""
    os.environ |= {"DJANGO_SETTINGS_MODULE": "hopla.settings", "DATABASE_URL": "postgres://nobody@127.0.0.1:9/none"}
    import django

    django.setup()


def show(report) -> None:
    """The table of a tests.faults.chaos.Report."""
    print(f"{report.seconds:.0f} seconds in all, until everything was settled")
    print(f"\n{'What was done':<45}{'times':>6}{'median':>9}{'max':>9}  seconds to recovery")
    for what, seconds in sorted(report.recoveries.items()):
        print(f"{what:<45}{len(seconds):>6}{statistics.median(seconds):>9.1f}{max(seconds):>9.1f}")
    for title, counts in (("Answers", report.answers), ("Photos", report.images), ("Tickets", report.tickets)):
        table(title, counts)
    print(f"{'assets at Cloudinary':<45}{report.assets:>6}")
    table("Notifications of direct uploads", report.notifications)
    table("Webhooks", report.webhooks)
    print("\nThe books")
    for rule, wrong in report.findings.items():
        print(f"{'WRONG' if wrong else 'right'}  {rule}")
        for sentence in wrong[:20]:
            print(f"       {sentence}")


def table(title: str, counts: Counter) -> None:
    print(f"\n{title}")
    for name, number in sorted(counts.items()):
        print(f"{name:<45}{number:>6}")


if __name__ == "__main__":
    sys.exit(main())
