import django.core.validators
import django.db.models.deletion
import django.utils.timezone
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('tickets', '0003_sets'),
    ]

    operations = [
        migrations.CreateModel(
            name='ExamplePicture',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('size', models.PositiveIntegerField(verbose_name='size in bytes')),
                ('asset_version', models.BigIntegerField(verbose_name='Cloudinary version')),
                ('asset_format', models.CharField(max_length=16, verbose_name='Cloudinary format')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created at')),
            ],
            options={
                'verbose_name': 'example picture',
                'verbose_name_plural': 'example pictures',
            },
        ),
        migrations.CreateModel(
            name='TicketKind',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(help_text='Such as car-damage. Apps that know the old name do not find a new one.', max_length=64, unique=True, validators=[django.core.validators.RegexValidator('^[a-z0-9][a-z0-9_-]{0,63}$(?!\\n)', 'A name has up to 64 characters: a to z, 0 to 9, hyphens and underscores, none of these two first.')], verbose_name='name for apps')),
                ('version', models.PositiveIntegerField(default=1, editable=False, verbose_name='version')),
                ('titles', models.JSONField(default=dict, verbose_name='title')),
                ('instructions', models.JSONField(blank=True, default=dict, verbose_name='instructions')),
                ('num_images', models.PositiveIntegerField(blank=True, help_text='Only for kinds without slots, or with more photos than slots.', null=True, validators=[django.core.validators.MinValueValidator(1)], verbose_name='number of photos')),
                ('expires_in_seconds', models.PositiveIntegerField(blank=True, help_text='Counted from the moment a ticket is opened; empty: tickets do not expire by themselves.', null=True, validators=[django.core.validators.MinValueValidator(60), django.core.validators.MaxValueValidator(316224000)], verbose_name='expires after')),
                ('is_active', models.BooleanField(default=True, help_text='Tickets can be opened by it. Those that are open stay as they are.', verbose_name='offered')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created at')),
                ('updated_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='updated at')),
            ],
            options={
                'verbose_name': 'kind of ticket',
                'verbose_name_plural': 'kinds of tickets',
                'ordering': ['name'],
            },
        ),
        migrations.AddField(
            model_name='ticket',
            name='instructions',
            field=models.TextField(blank=True, db_default='', default='', editable=False, verbose_name='instructions'),
        ),
        migrations.AddField(
            model_name='ticket',
            name='kind',
            field=models.CharField(blank=True, db_default='', default='', editable=False, max_length=64, verbose_name='kind'),
        ),
        migrations.AddField(
            model_name='ticket',
            name='kind_version',
            field=models.PositiveIntegerField(db_default=0, default=0, editable=False, verbose_name='version of the kind'),
        ),
        migrations.CreateModel(
            name='KindSlot',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(help_text='Such as front.', max_length=64, validators=[django.core.validators.RegexValidator('^[a-z0-9][a-z0-9_-]{0,63}$(?!\\n)', 'A name has up to 64 characters: a to z, 0 to 9, hyphens and underscores, none of these two first.')], verbose_name='name for apps')),
                ('order', models.PositiveSmallIntegerField(default=0, verbose_name='place')),
                ('titles', models.JSONField(blank=True, default=dict, verbose_name='title')),
                ('instructions', models.JSONField(blank=True, default=dict, verbose_name='instructions')),
                ('source', models.CharField(choices=[('any', 'any photo'), ('camera', 'taken now with the camera')], default='any', max_length=8, verbose_name='source')),
                ('example_link', models.URLField(blank=True, help_text='Instead of a picture from your device: an https address.', max_length=500, validators=[django.core.validators.URLValidator(schemes=['https'])], verbose_name='address of an example')),
                ('example', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, to='tickets.examplepicture', verbose_name='example picture')),
                ('kind', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='slots', to='tickets.ticketkind', verbose_name='kind')),
            ],
            options={
                'verbose_name': 'slot',
                'verbose_name_plural': 'slots',
                'ordering': ['order', 'id'],
                'constraints': [models.UniqueConstraint(fields=('kind', 'name'), name='kindslot_name_once_a_kind')],
            },
        ),
    ]
