"""Operators do what can be done with webhooks, support agents send single events again; both see what was told, and have
e-mails about webhooks sent again."""

from importlib import import_module

from django.db import migrations

roles = import_module("apps.accounts.migrations.0002_roles")

WEBHOOKS = {
    "support agents": {
        "integrations.endpoint": ["view"],
        "integrations.delivery": ["view", "change"],
        "integrations.event": ["view"],
        "integrations.webhookemail": ["view", "change"],
    },
    "operators": {
        "integrations.endpoint": ["view", "change"],
        "integrations.delivery": ["view", "change"],
        "integrations.event": ["view"],
        "integrations.webhookemail": ["view", "change"],
    },
}


def give_permissions(apps, schema_editor):
    roles.give_permissions(apps, WEBHOOKS)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_roles"), ("integrations", "0001_initial")]
    operations = [migrations.RunPython(give_permissions, migrations.RunPython.noop)]
