"""What has to be done before hopla's processes start, in one process because loading Django takes most of the time."""

import gc
import os
import sys
from pathlib import Path

import django
from django.conf import settings
from django.core.management import CommandError, call_command

# Before the name of a file, which then holds the path of the guests' page.
WITH_DEMO_TICKETS = "--with-demo-tickets"


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hopla.settings")
    django.setup()
    call_command("migrate", interactive=False, verbosity=0, skip_checks=False)
    if settings.DEBUG:
        call_command("make_demo_user")
        call_command("make_demo_kinds")
        if sys.argv[1:2] == [WITH_DEMO_TICKETS]:
            from script.demo_ticket import open_demo_ticket, page_for_a_guest

            open_demo_ticket()
            if path := page_for_a_guest():
                tell(path, file=Path(sys.argv[2]))
    else:
        call_command("collectstatic", interactive=False, verbosity=0)


def tell(secret: str, *, file: Path) -> None:
    """Write it where only our own user can read it."""
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as private:
        private.write(secret)


if __name__ == "__main__":
    gc.set_threshold(50_000, 20, 50)  # as in manage.py
    try:
        main()
    except CommandError as error:
        sys.exit(str(error))
