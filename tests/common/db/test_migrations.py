"""A release migrates while the processes of the last one still run: no table is locked for long, and nothing that they
read or write is removed. CONTRIBUTING.md says how to change the schema that way."""

import io
from contextlib import redirect_stdout
from unittest import skipUnless

from django.apps import apps
from django.conf import settings
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django_migration_linter import MigrationLinter

from tests.flush import FlushedTestCase

# The last migrations of the first release: no process served before them.
FIRST_RELEASE = {
    "accounts": "0003_operators_make_kinds",
    "guests": "0004_roles_of_emails",
    "integrations": "0003_roles_of_api_keys",
    "support": "0002_dropped_emails",
    "tickets": "0007_direct_uploads",
}
LOCK_A_TABLE = ["CREATE_INDEX", "CREATE_INDEX_EXCLUSIVE"]
EXAMPLES = {"MIGRATION_MODULES": settings.MIGRATION_MODULES | {"support": "tests.common.db.example_migrations"}}


def migrations_since_the_first_release():
    for (app_label, name), migration in sorted(MigrationLoader(connection).disk_migrations.items()):
        if apps.get_app_config(app_label).name.startswith("apps.") and name > FIRST_RELEASE.get(app_label, ""):
            yield migration


def errors_of(migration) -> str:
    """What the linter prints about a migration that a running process would not survive; else an empty string."""
    with redirect_stdout(io.StringIO()) as printed:
        linter = MigrationLinter(no_cache=True, warnings_as_errors_tests=LOCK_A_TABLE)
        linter.lint_migration(migration)
    return printed.getvalue() if linter.has_errors else ""


@skipUnless(connection.vendor == "postgresql", "needs PostgreSQL")
class MigrationTests(FlushedTestCase):  # PostgreSQL makes no index concurrently within a transaction
    def test_processes_of_the_last_release_can_go_on_while_it_runs(self):
        for migration in migrations_since_the_first_release():
            with self.subTest(str(migration)):
                self.assertEqual(errors_of(migration), "")

    @override_settings(**EXAMPLES)
    def test_an_index_that_blocks_writes_is_found(self):
        examples = [each for each in migrations_since_the_first_release() if each.app_label == "support"]
        blocking, concurrent = examples

        self.assertIn("CREATE INDEX locks table", errors_of(blocking))
        self.assertEqual(errors_of(concurrent), "")

    def test_migrations_of_the_first_release_are_there(self):
        there = MigrationLoader(connection).disk_migrations
        self.assertEqual([pair for pair in FIRST_RELEASE.items() if pair not in there], [])


@override_settings(**EXAMPLES)
class AddIndexConcurrentlyTests(FlushedTestCase):
    def index_is_there(self) -> bool:
        with connection.cursor() as cursor:
            return "made_concurrently" in connection.introspection.get_constraints(cursor, "support_message")

    def test_index_is_made_and_taken_away_on_either_database(self):
        loader = MigrationLoader(connection)
        migration = loader.disk_migrations["support", "0003_index_made_concurrently"]
        before = loader.project_state(migration.dependencies)

        with CaptureQueriesContext(connection) as captured, connection.schema_editor(atomic=False) as editor:
            migration.apply(before.clone(), editor)
            self.assertTrue(self.index_is_there())
            migration.unapply(before.clone(), editor)
            self.assertFalse(self.index_is_there())

        if connection.vendor == "postgresql":
            indexes = [query["sql"] for query in captured if " INDEX " in query["sql"]]
            self.assertEqual([sql for sql in indexes if "CONCURRENTLY" not in sql], [])
