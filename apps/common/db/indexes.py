"""Indexes that are created without blocking writes, and an ordering that SQLite's indexes lack."""

from django.contrib.postgres import operations as postgres
from django.db.migrations import AddIndex
from django.db.models import Index, OrderBy


class AddIndexConcurrently(postgres.AddIndexConcurrently):
    """Django's operation on PostgreSQL, a plain AddIndex on SQLite. The migration must set `atomic = False`.

    If it is interrupted on PostgreSQL it leaves an invalid index: `DROP INDEX CONCURRENTLY` it before migrating again.
    """

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        _operation(schema_editor).database_forwards(self, app_label, schema_editor, from_state, to_state)

    def database_backwards(self, app_label, schema_editor, from_state, to_state):
        _operation(schema_editor).database_backwards(self, app_label, schema_editor, from_state, to_state)


def _operation(schema_editor):
    return postgres.AddIndexConcurrently if schema_editor.connection.vendor == "postgresql" else AddIndex


class NullsLastIndex(Index):
    """An index with `F(name).desc(nulls_last=True)`. SQLite accepts no NULLS LAST there, but sorts that way anyway."""

    def create_sql(self, model, schema_editor, using="", **kwargs):
        if schema_editor.connection.vendor != "sqlite":
            return super().create_sql(model, schema_editor, using, **kwargs)
        plain = [
            OrderBy(each.expression, descending=True) if getattr(each, "nulls_last", None) else each
            for each in self.expressions
        ]
        return Index(*plain, name=self.name).create_sql(model, schema_editor, using, **kwargs)
