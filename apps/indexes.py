"""Indexes on tables that are in use, made without keeping anyone from writing."""

from django.contrib.postgres import operations as postgres
from django.db.migrations import AddIndex


class AddIndexConcurrently(postgres.AddIndexConcurrently):
    """As PostgreSQL's, and on SQLite a plain AddIndex. The migration must say `atomic = False`.

    Cut off half-way on PostgreSQL it leaves an invalid index: `DROP INDEX CONCURRENTLY` it before migrating again.
    """

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        operation = _operation_on(schema_editor)
        operation.database_forwards(self, app_label, schema_editor, from_state, to_state)

    def database_backwards(self, app_label, schema_editor, from_state, to_state):
        operation = _operation_on(schema_editor)
        operation.database_backwards(self, app_label, schema_editor, from_state, to_state)


def _operation_on(schema_editor):
    return postgres.AddIndexConcurrently if schema_editor.connection.vendor == "postgresql" else AddIndex
