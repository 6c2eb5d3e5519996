from django.db import migrations, models

from apps.common.db.indexes import AddIndexConcurrently


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("support", "0002_index_that_blocks_writes")]
    operations = [AddIndexConcurrently("message", models.Index(fields=["created_at"], name="made_concurrently"))]
