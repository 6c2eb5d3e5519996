from django.db import migrations

# For an index made before 0010 said so. Only the catalogue changes: new tickets and searches wait no longer than this
# waits for those that have begun.
PUT_IN_AT_ONCE = "ALTER INDEX IF EXISTS tickets_searchtext_trigrams SET (fastupdate = off)"
PUT_IN_WHAT_WAITS = """
SELECT gin_clean_pending_list(indexrelid) FROM pg_index
WHERE indexrelid = to_regclass('tickets_searchtext_trigrams')
"""


def let_nothing_wait(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(PUT_IN_AT_ONCE)
        schema_editor.execute(PUT_IN_WHAT_WAITS)


class Migration(migrations.Migration):
    atomic = False  # the lock on the index goes with the first statement

    dependencies = [
        ('tickets', '0010_search_text'),
    ]

    operations = [
        migrations.RunPython(let_nothing_wait, migrations.RunPython.noop),
    ]
