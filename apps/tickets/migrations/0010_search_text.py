import django.db.models.deletion
from django.db import DatabaseError, migrations, models

# What became of a ticket's words is the database's to know, whoever wrote them: the API, the admin or an import.
KEEP = """
CREATE FUNCTION tickets_keep_search_text() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        DELETE FROM tickets_searchtext WHERE ticket_id = OLD.id;
    ELSE
        INSERT INTO tickets_searchtext AS kept (ticket_id, text)
        VALUES (NEW.id, upper(NEW.title || E'\\n' || NEW.description))
        ON CONFLICT (ticket_id) DO UPDATE SET text = EXCLUDED.text WHERE kept.text <> EXCLUDED.text;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER tickets_keep_search_text AFTER INSERT OR DELETE OR UPDATE OF title, description
ON tickets_ticket FOR EACH ROW EXECUTE FUNCTION tickets_keep_search_text()
"""
KEEP_NO_MORE = "DROP TRIGGER tickets_keep_search_text ON tickets_ticket; DROP FUNCTION tickets_keep_search_text()"

FILL = """
INSERT INTO tickets_searchtext (ticket_id, text)
SELECT id, upper(title || E'\\n' || description) FROM tickets_ticket WHERE id > %s AND id <= %s
ON CONFLICT DO NOTHING
"""
BATCH = 10_000

# A search reads what waits to be put into the index: no more than 256 KiB.
INDEX = """
CREATE INDEX CONCURRENTLY tickets_searchtext_trigrams ON tickets_searchtext USING gin (text gin_trgm_ops)
WITH (gin_pending_list_limit = 256)
"""
WITHOUT_TRIGRAMS = """
  Search goes without an index, and takes longer with each ticket: the extension pg_trgm could not be created.
    {error}
  Once it is there (package postgresql-contrib; whoever owns the database: CREATE EXTENSION pg_trgm), run:
    {index}
"""


def on_postgres(function):
    def run(apps, schema_editor):
        if schema_editor.connection.vendor == "postgresql":
            function(schema_editor)

    return run


def keep(schema_editor):
    schema_editor.execute(KEEP)


def keep_no_more(schema_editor):
    schema_editor.execute(KEEP_NO_MORE)


def fill(schema_editor):
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(min(id), 0), coalesce(max(id), -1) FROM tickets_ticket")
        first, last = cursor.fetchone()
        for start in range(first - 1, last, BATCH):
            cursor.execute(FILL, [start, start + BATCH])
        cursor.execute("ANALYZE tickets_searchtext")


def index(schema_editor):
    try:
        schema_editor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    except DatabaseError as error:  # it is not installed, or this user may not
        print(WITHOUT_TRIGRAMS.format(error=str(error).strip(), index=" ".join(INDEX.split())))
        return
    schema_editor.execute(INDEX)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('tickets', '0009_transition_of_deleted_image'),
    ]

    operations = [
        migrations.CreateModel(
            name='SearchText',
            fields=[
                ('ticket', models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, primary_key=True, related_name='search_text', serialize=False, to='tickets.ticket')),
                ('text', models.TextField()),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.RunPython(on_postgres(keep), on_postgres(keep_no_more)),
        migrations.RunPython(on_postgres(fill), migrations.RunPython.noop),
        migrations.RunPython(on_postgres(index), migrations.RunPython.noop),
    ]
