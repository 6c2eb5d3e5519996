from django.db import migrations, models

from apps.common.db.indexes import AddIndexConcurrently


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('support', '0004_email_roles'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='email',
            index=models.Index(condition=models.Q(('state', 'failed')), fields=['id'], name='email_failed'),
        ),
    ]
