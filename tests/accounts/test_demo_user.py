from io import StringIO

from django.contrib.auth import authenticate, get_user_model
from django.core.management import CommandError, call_command
from django.test import TestCase, override_settings


class DemoUserTests(TestCase):
    def make(self):
        output = StringIO()
        call_command("make_demo_user", stdout=output)
        return output.getvalue().split()

    @override_settings(DEBUG=True)
    def test_printed_name_and_password_log_in(self):
        username, password = self.make()
        self.assertTrue(authenticate(username=username, password=password).is_staff)

    @override_settings(DEBUG=True)
    def test_second_run_gives_the_same_user_the_printed_password_again(self):
        self.make()
        user = get_user_model().objects.get()
        user.set_password("changed")
        user.save()
        username, password = self.make()
        self.assertEqual(authenticate(username=username, password=password), user)

    def test_with_debug_off_it_refuses(self):
        with self.assertRaisesMessage(CommandError, "only with DEBUG on"):
            self.make()
        self.assertFalse(get_user_model().objects.exists())
