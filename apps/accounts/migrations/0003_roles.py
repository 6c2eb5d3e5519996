"""The roles, as groups: what each may do in the admin. Everybody's own things need no permission.

Entering the admin takes `is_staff` besides. Permissions are made after all migrations, so they are made here if need be.
"""

from django.db import migrations

ROLES = {
    "users": [],
    "support agents": ["tickets.view_ticket", "tickets.view_image"],
    "operators": [
        "tickets.view_ticket",
        "tickets.change_ticket",
        "tickets.delete_ticket",
        "tickets.view_image",
        "tickets.change_image",
        "tickets.delete_image",
        "tickets.view_assetremoval",
    ],
}


def make_groups(apps, schema_editor):
    Group = apps.get_model("auth", "Group")
    Permission = apps.get_model("auth", "Permission")
    ContentType = apps.get_model("contenttypes", "ContentType")
    for role, names in ROLES.items():
        group, _ = Group.objects.get_or_create(name=role)
        for name in names:
            app_label, codename = name.split(".")
            content_type, _ = ContentType.objects.get_or_create(app_label=app_label, model=codename.partition("_")[2])
            permission, _ = Permission.objects.get_or_create(
                content_type=content_type, codename=codename, defaults={"name": codename.replace("_", " ").capitalize()}
            )
            group.permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_tokens_and_languages"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]
    operations = [migrations.RunPython(make_groups, migrations.RunPython.noop)]
