"""Agents and operators read the log of transitions. See accounts.0003_roles."""

from django.db import migrations

ROLES = ("support agents", "operators")


def let_them_look(apps, schema_editor):
    Group = apps.get_model("auth", "Group")
    Permission = apps.get_model("auth", "Permission")
    ContentType = apps.get_model("contenttypes", "ContentType")
    content_type, _ = ContentType.objects.get_or_create(app_label="tickets", model="transition")
    permission, _ = Permission.objects.get_or_create(
        content_type=content_type, codename="view_transition", defaults={"name": "Can view transition"}
    )
    for role in ROLES:
        Group.objects.get_or_create(name=role)[0].permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [("tickets", "0006_indexes_for_staff"), ("accounts", "0003_roles")]
    operations = [migrations.RunPython(let_them_look, migrations.RunPython.noop)]
