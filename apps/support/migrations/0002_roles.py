"""Support agents read the desk in the admin, answer there and change statuses. See accounts.0003_roles."""

from django.db import migrations

ROLE = "support agents"
MODELS = {"supportticket": ["view", "change"], "message": ["view"], "event": ["view"], "email": ["view"]}


def let_agents_work(apps, schema_editor):
    Group = apps.get_model("auth", "Group")
    Permission = apps.get_model("auth", "Permission")
    ContentType = apps.get_model("contenttypes", "ContentType")
    group, _ = Group.objects.get_or_create(name=ROLE)
    for model, verbs in MODELS.items():
        content_type, _ = ContentType.objects.get_or_create(app_label="support", model=model)
        for verb in verbs:
            permission, _ = Permission.objects.get_or_create(
                content_type=content_type, codename=f"{verb}_{model}", defaults={"name": f"Can {verb} {model}"}
            )
            group.permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [("support", "0001_initial"), ("accounts", "0003_roles")]
    operations = [migrations.RunPython(let_agents_work, migrations.RunPython.noop)]
