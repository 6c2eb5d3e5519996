"""The admin finds the events of a rare type by an index."""

from django.db import migrations, models
from django.db.models import Q

from apps.common.db.indexes import AddIndexConcurrently


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("integrations", "0003_roles_of_api_keys")]
    operations = [
        AddIndexConcurrently(
            model_name="event",
            index=models.Index(fields=["type", "-id"], condition=~Q(type="image.stored"), name="event_of_type"),
        )
    ]
