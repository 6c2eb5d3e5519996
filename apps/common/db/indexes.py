"""Indexes on tables that are in use, made without keeping anyone from writing.

Private parts of Django 5.2.19: `django.db.backends.base.schema.BaseDatabaseSchemaEditor._constraint_names`,
`._create_index_sql`, `._delete_index_sql`.
"""

from django.contrib.postgres import operations as postgres
from django.db.migrations import AddIndex, AlterField, RemoveIndex
from django.db.models import Index, OrderBy


class AddIndexConcurrently(postgres.AddIndexConcurrently):
    """As PostgreSQL's, and on SQLite a plain AddIndex. The migration must say `atomic = False`.

    Cut off half-way on PostgreSQL it leaves an invalid index: `DROP INDEX CONCURRENTLY` it before migrating again.
    """

    def database_forwards(self, *args):
        _on(args, postgres=postgres.AddIndexConcurrently, others=AddIndex).database_forwards(self, *args)

    def database_backwards(self, *args):
        _on(args, postgres=postgres.AddIndexConcurrently, others=AddIndex).database_backwards(self, *args)


class RemoveIndexConcurrently(postgres.RemoveIndexConcurrently):
    """Likewise."""

    def database_forwards(self, *args):
        _on(args, postgres=postgres.RemoveIndexConcurrently, others=RemoveIndex).database_forwards(self, *args)

    def database_backwards(self, *args):
        _on(args, postgres=postgres.RemoveIndexConcurrently, others=RemoveIndex).database_backwards(self, *args)


def _on(args, *, postgres, others):
    """`args`: app_label, schema_editor and the states."""
    return postgres if args[1].connection.vendor == "postgresql" else others


class DropForeignKeyIndexConcurrently(AlterField):
    """Takes away the index that Django makes for a foreign key: `field` is that key with `db_index=False`.

    The migration must say `atomic = False`. Nothing else of the field may change.
    """

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        model = from_state.apps.get_model(app_label, self.model_name)
        column = model._meta.get_field(self.name).column
        named = {index.name for index in model._meta.indexes}
        for name in schema_editor._constraint_names(model, [column], index=True, unique=False, exclude=named):
            schema_editor.execute(schema_editor._delete_index_sql(model, name, **_concurrently(schema_editor)))

    def database_backwards(self, app_label, schema_editor, from_state, to_state):
        model = to_state.apps.get_model(app_label, self.model_name)
        field = model._meta.get_field(self.name)
        schema_editor.execute(
            schema_editor._create_index_sql(model, fields=[field], **_concurrently(schema_editor)), params=None
        )


def _concurrently(schema_editor) -> dict:
    return {"concurrently": True} if schema_editor.connection.vendor == "postgresql" else {}


class NullsLastIndex(Index):
    """An index with `F(name).desc(nulls_last=True)`: SQLite takes no NULLS LAST in one, and sorts so without it."""

    def create_sql(self, model, schema_editor, using="", **kwargs):
        if schema_editor.connection.vendor != "sqlite":
            return super().create_sql(model, schema_editor, using, **kwargs)
        plain = [
            OrderBy(each.expression, descending=True) if getattr(each, "nulls_last", None) else each
            for each in self.expressions
        ]
        return Index(*plain, name=self.name).create_sql(model, schema_editor, using, **kwargs)
