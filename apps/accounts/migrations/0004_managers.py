from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_roles")]
    operations = [migrations.AlterModelManagers(name="user", managers=[])]
