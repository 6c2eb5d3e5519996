"""Agents and operators may have an e-mail sent again: a mail server that was away is mended by either."""

from django.db import migrations

ROLES = ("support agents", "operators")


def let_them_send(apps, schema_editor):
    Group = apps.get_model("auth", "Group")
    Permission = apps.get_model("auth", "Permission")
    ContentType = apps.get_model("contenttypes", "ContentType")
    content_type, _ = ContentType.objects.get_or_create(app_label="support", model="email")
    for verb in ("view", "change"):
        permission, _ = Permission.objects.get_or_create(
            content_type=content_type, codename=f"{verb}_email", defaults={"name": f"Can {verb} e-mail"}
        )
        for role in ROLES:
            Group.objects.get_or_create(name=role)[0].permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [("support", "0003_request_id"), ("accounts", "0003_roles")]
    operations = [migrations.RunPython(let_them_send, migrations.RunPython.noop)]
