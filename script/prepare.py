"""What has to be done before hopla's processes start, in one process because loading Django takes most of the time."""

import os
import sys

import django
from django.conf import settings
from django.core.management import CommandError, call_command

WITH_A_TICKET = "--with-a-ticket-to-review"


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hopla.settings")
    django.setup()
    call_command("migrate", interactive=False, verbosity=0, skip_checks=False)
    if settings.DEBUG:
        call_command("make_demo_user")
        call_command("make_demo_kinds")
        if WITH_A_TICKET in sys.argv:
            from script.demo_ticket import open_demo_ticket

            open_demo_ticket()
    else:
        call_command("collectstatic", interactive=False, verbosity=0)


if __name__ == "__main__":
    try:
        main()
    except CommandError as error:
        sys.exit(str(error))
