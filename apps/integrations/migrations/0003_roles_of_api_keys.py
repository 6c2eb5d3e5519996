"""Operators see API keys and revoke them; support agents see that they are there. Superusers alone make one for a user:
it acts as that user.
"""

from importlib import import_module

from django.db import migrations

roles = import_module("apps.accounts.migrations.0002_roles")

KEYS = {
    "support agents": {"integrations.apikey": ["view"]},
    "operators": {"integrations.apikey": ["view", "change"]},
}


def give_permissions(apps, schema_editor):
    roles.give_permissions(apps, KEYS)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_roles"), ("integrations", "0002_roles")]
    operations = [migrations.RunPython(give_permissions, migrations.RunPython.noop)]
