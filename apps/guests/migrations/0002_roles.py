"""Operators make, show, mail and revoke guest links; support agents see that they are there."""

from importlib import import_module

from django.db import migrations

roles = import_module("apps.accounts.migrations.0002_roles")

LINKS = {
    "support agents": {"guests.guestlink": ["view"]},
    "operators": {"guests.guestlink": ["view", "add", "change"]},
}


def give_permissions(apps, schema_editor):
    roles.give_permissions(apps, LINKS)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_roles"), ("guests", "0001_initial")]
    operations = [migrations.RunPython(give_permissions, migrations.RunPython.noop)]
