from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("support", "0001_initial")]
    operations = [migrations.AddIndex("message", models.Index(fields=["created_at"], name="blocks_writes"))]
