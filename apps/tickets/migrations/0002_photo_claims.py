from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('tickets', '0001_initial'),
    ]

    operations = [
        migrations.AddField(
            model_name='image',
            name='captured_at',
            field=models.CharField(editable=False, max_length=32, null=True, verbose_name='captured at'),
        ),
        migrations.AddField(
            model_name='image',
            name='latitude',
            field=models.FloatField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='image',
            name='longitude',
            field=models.FloatField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name='image',
            name='camera',
            field=models.CharField(editable=False, max_length=100, null=True, verbose_name='camera'),
        ),
    ]
