# Code from before this goes on while it is applied: the columns have defaults of the database's own, and the index is of the
# tickets that have a reference, of which there are none yet.

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('tickets', '0002_photo_claims'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='ticket',
            name='metadata',
            field=models.JSONField(db_default={}, default=dict, editable=False, verbose_name='metadata'),
        ),
        migrations.AddField(
            model_name='ticket',
            name='reference',
            field=models.CharField(blank=True, db_default='', default='', max_length=100, verbose_name='reference'),
        ),
        migrations.AddField(
            model_name='ticket',
            name='slots',
            field=models.JSONField(db_default=[], default=list, editable=False, verbose_name='slots'),
        ),
        migrations.AddIndex(
            model_name='ticket',
            index=models.Index(models.F('reference'), models.F('owner'), models.OrderBy(models.F('created_at'), descending=True), models.OrderBy(models.F('id'), descending=True), condition=models.Q(('reference', ''), _negated=True), name='ticket_reference'),
        ),
    ]
