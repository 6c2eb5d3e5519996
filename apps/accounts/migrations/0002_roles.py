"""The roles, as groups: what each may do in the admin, besides `is_staff`, which opens it.

Django makes permissions only after all migrations, so those that a role needs are made here, by the names that Django
gives them. Running it again changes nothing.
"""

from django.db import migrations

# Users need no permission for what is their own.
ROLES = {
    "users": {},
    "support agents": {
        "tickets.ticket": ["view"],
        "tickets.image": ["view"],
        "tickets.transition": ["view"],
        "support.supportticket": ["view", "change"],
        "support.message": ["view"],
        "support.event": ["view"],
        "support.email": ["view", "change"],
    },
    "operators": {
        "tickets.ticket": ["view", "change", "delete"],
        "tickets.image": ["view", "change", "delete"],
        "tickets.transition": ["view"],
        "tickets.assetremoval": ["view"],
        "support.email": ["view", "change"],
    },
}


def make_groups(apps, schema_editor):
    give_permissions(apps, ROLES)


def give_permissions(apps, roles):
    """`roles`: as ROLES has them. A role that is there keeps what it may do already."""
    Group = apps.get_model("auth", "Group")
    Permission = apps.get_model("auth", "Permission")
    ContentType = apps.get_model("contenttypes", "ContentType")
    for role, models in roles.items():
        group, _ = Group.objects.get_or_create(name=role)
        for label, verbs in models.items():
            meta = apps.get_model(label)._meta
            content_type, _ = ContentType.objects.get_or_create(app_label=meta.app_label, model=meta.model_name)
            for verb in verbs:
                permission, _ = Permission.objects.update_or_create(
                    content_type=content_type,
                    codename=f"{verb}_{meta.model_name}",
                    defaults={"name": f"Can {verb} {meta.verbose_name}"},
                )
                group.permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("support", "0001_initial"),
        ("tickets", "0001_initial"),
    ]
    operations = [migrations.RunPython(make_groups, migrations.RunPython.noop)]
