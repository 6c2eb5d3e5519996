from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission

from apps.tickets.models import Ticket, Transition
from apps.tickets.models.transition import record
from tests.flush import FlushedTestCase
from tests.makers import make_image, make_ticket


class FlushTests(FlushedTestCase):
    def setUp(self):
        super().setUp()
        self.roles = sorted(Group.objects.values_list("name", "permissions__codename"), key=str)

    def test_what_a_test_has_committed_goes(self):
        record(ticket_id=make_image(make_ticket()).ticket_id, from_status="pending", to_status="in_progress")

        self._fixture_teardown()

        for model in (get_user_model(), Ticket, Transition):
            self.assertFalse(model.objects.exists(), model)

    def test_rows_of_the_migrations_stay(self):
        self.assertIn(("operators", "change_ticket"), self.roles)
        permissions = Permission.objects.count()

        self._fixture_teardown()

        self.assertEqual(sorted(Group.objects.values_list("name", "permissions__codename"), key=str), self.roles)
        self.assertEqual(Permission.objects.count(), permissions)

    def test_rows_of_the_migrations_that_a_test_changed_or_deleted_come_back(self):
        Group.objects.get(name="operators").delete()
        Group.objects.filter(name="users").update(name="others")
        Group.objects.create(name="added")

        self._fixture_teardown()

        self.assertEqual(sorted(Group.objects.values_list("name", "permissions__codename"), key=str), self.roles)
