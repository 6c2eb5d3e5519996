from django.db import migrations, models

from apps.common.db.indexes import AddIndexConcurrently


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('tickets', '0003_request_id'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='image',
            index=models.Index(condition=models.Q(('status', 'stored')), fields=['stored_at'], name='image_stored_at'),
        ),
        AddIndexConcurrently(
            model_name='image',
            index=models.Index(condition=models.Q(('status', 'failed')), fields=['updated_at'], name='image_failed_at'),
        ),
    ]
