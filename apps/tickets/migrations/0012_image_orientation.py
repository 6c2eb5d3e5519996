from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('tickets', '0011_covering_indexes'),
    ]

    operations = [
        migrations.AddField(
            model_name='image',
            name='orientation',
            field=models.SmallIntegerField(db_default=1, default=1, verbose_name='orientation'),
        ),
    ]
