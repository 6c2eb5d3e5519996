"""Operators and support agents see the e-mails to guests; the permission to change them allows to send them again."""

from importlib import import_module

from django.db import migrations

roles = import_module("apps.accounts.migrations.0002_roles")

EMAILS = {
    "support agents": {"guests.guestemail": ["view", "change"]},
    "operators": {"guests.guestemail": ["view", "change"]},
}


def give_permissions(apps, schema_editor):
    roles.give_permissions(apps, EMAILS)


class Migration(migrations.Migration):
    dependencies = [("guests", "0003_emails")]
    operations = [migrations.RunPython(give_permissions, migrations.RunPython.noop)]
