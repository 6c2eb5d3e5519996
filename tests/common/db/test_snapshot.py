from django.db import DatabaseError, connection

from apps.accounts.models import User
from apps.common.db.snapshot import one_snapshot
from tests.case import CommittingTestCase, at_once
from tests.makers import make_user


class SnapshotTests(CommittingTestCase):
    def number_of_users(self) -> int:
        return User.objects.count()

    def commit_another(self) -> None:
        at_once(make_user, ["another"])

    def test_what_is_committed_meanwhile_is_not_seen_and_is_not_held_up(self):
        with one_snapshot():
            self.assertEqual(self.number_of_users(), 0)
            self.commit_another()
            self.assertEqual(self.number_of_users(), 0)

        self.assertEqual(self.number_of_users(), 1)

    def test_connection_is_as_before_after_an_error(self):
        with self.assertRaises(KeyError), one_snapshot():
            self.number_of_users()
            raise KeyError
        self.commit_another()

        self.assertEqual(self.number_of_users(), 1)
        make_user()

    def test_error_of_the_database_is_the_one_that_is_raised(self):
        with self.assertRaises(DatabaseError), one_snapshot(), connection.cursor() as cursor:
            cursor.execute("SELECT nothing FROM nowhere")

        self.assertEqual(self.number_of_users(), 0)

    def test_connection_that_breaks_is_made_anew(self):
        with one_snapshot():
            self.number_of_users()
            connection.connection.close()

        self.assertEqual(self.number_of_users(), 0)
