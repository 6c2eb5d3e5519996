"""What the roles may do at the desk. See accounts.0003_roles: permissions are made after all migrations, or here."""

from django.db import migrations

DESK = [
    "support.view_supportticket",
    "support.change_supportticket",
    "support.view_message",
    "support.view_event",
    "support.view_email",
]


def extend_roles(apps, schema_editor):
    Group = apps.get_model("auth", "Group")
    Permission = apps.get_model("auth", "Permission")
    ContentType = apps.get_model("contenttypes", "ContentType")
    for role in ("support agents", "operators"):
        group = Group.objects.get(name=role)
        for name in DESK:
            app_label, codename = name.split(".")
            content_type, _ = ContentType.objects.get_or_create(app_label=app_label, model=codename.partition("_")[2])
            permission, _ = Permission.objects.get_or_create(
                content_type=content_type,
                codename=codename,
                defaults={"name": codename.replace("_", " ").capitalize()},
            )
            group.permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [("support", "0001_initial"), ("accounts", "0003_roles")]
    operations = [migrations.RunPython(extend_roles, migrations.RunPython.noop)]
