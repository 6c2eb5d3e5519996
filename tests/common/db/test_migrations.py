"""A release migrates while the processes of the last one still serve: no table is locked for long, and nothing goes
that they read or write. CONTRIBUTING.md says how to change the schema so."""

import io
from contextlib import redirect_stdout
from unittest import skipUnless

from django.apps import apps
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.test import TransactionTestCase
from django_migration_linter import MigrationLinter

# The last migrations of the first release: no process served before them.
FIRST_RELEASE = {"accounts": "0003_roles", "support": "0002_roles", "tickets": "0002_certainty"}
LOCK_A_TABLE = ["CREATE_INDEX", "CREATE_INDEX_EXCLUSIVE"]


def migrations_since_the_first_release():
    for (app_label, name), migration in sorted(MigrationLoader(connection).disk_migrations.items()):
        if apps.get_app_config(app_label).name.startswith("apps.") and name > FIRST_RELEASE.get(app_label, ""):
            yield migration


@skipUnless(connection.vendor == "postgresql", "needs PostgreSQL")
class MigrationTests(TransactionTestCase):  # PostgreSQL makes no index concurrently within a transaction
    def test_processes_of_the_last_release_can_go_on_while_it_runs(self):
        for migration in migrations_since_the_first_release():
            with self.subTest(str(migration)), redirect_stdout(io.StringIO()) as printed:
                linter = MigrationLinter(no_cache=True, warnings_as_errors_tests=LOCK_A_TABLE)
                linter.lint_migration(migration)
                self.assertFalse(linter.has_errors, printed.getvalue())

    def test_migrations_of_the_first_release_are_there(self):
        there = MigrationLoader(connection).disk_migrations
        self.assertEqual([pair for pair in FIRST_RELEASE.items() if pair not in there], [])
