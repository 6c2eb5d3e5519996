"""Operators make the kinds of tickets; support agents read them."""

from importlib import import_module

from django.db import migrations

roles = import_module("apps.accounts.migrations.0002_roles")

KINDS = {
    "support agents": {"tickets.ticketkind": ["view"], "tickets.kindslot": ["view"]},
    "operators": {
        "tickets.ticketkind": ["view", "add", "change", "delete"],
        "tickets.kindslot": ["view", "add", "change", "delete"],
    },
}


def give_permissions(apps, schema_editor):
    roles.give_permissions(apps, KINDS)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_roles"), ("tickets", "0004_kinds")]
    operations = [migrations.RunPython(give_permissions, migrations.RunPython.noop)]
