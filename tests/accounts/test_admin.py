from datetime import timedelta

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth import get_user
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken

from apps.accounts.models import AuthToken, User
from apps.accounts.tokens import new_jwt_pair
from tests.accounts.credentials import both_clients_for, refreshes, works
from tests.case import ApiTestCase
from tests.makers import PASSWORD, client_for, make_image, make_ticket, make_user, token_for
from tests.support.makers import make_support_ticket

NEW_PASSWORD = "another-horse-battery"


class AdminTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.admin = Client()
        self.superuser = make_user("boss", is_staff=True, is_superuser=True)
        self.admin.force_login(self.superuser)
        self.user = make_user("ana", email="ana@example.com", name="Ana Lis")


class TokenAdminTests(AdminTestCase):
    LIST = "/admin/accounts/authtoken/"

    def setUp(self):
        super().setUp()
        self.client = client_for(self.user)
        self.token = AuthToken.objects.get()

    def test_list_tells_whose_and_when_it_was_used_last(self):
        used_at = timezone.now().replace(hour=11, minute=42) - timedelta(days=2)
        AuthToken.objects.update(last_used_at=used_at)

        page = self.admin.get(self.LIST)

        self.assertContains(page, f"{self.token.token_key}")
        self.assertContains(page, "ana")
        self.assertContains(page, "11:42 a.m.")

    def test_neither_list_nor_page_shows_the_hash_as_text(self):
        page = self.admin.get(reverse("admin:accounts_authtoken_change", args=[self.token.pk]))

        self.assertEqual(page.status_code, 200)
        self.assertNotContains(page, f">{self.token.digest}")

    def test_search_by_user(self):
        token_for(self.superuser)

        self.assertContains(self.admin.get(self.LIST, {"q": "ana@example.com"}), "1 token")

    def test_deleting_a_token_ends_the_session(self):
        other = client_for(self.user)

        self.admin.post(reverse("admin:accounts_authtoken_delete", args=[self.token.pk]), {"post": "yes"})

        self.assertEqual([works(self.client), works(other)], [False, True])

    def test_several_tokens_are_deleted_at_once(self):
        other = client_for(self.user)
        chosen = list(AuthToken.objects.values_list("pk", flat=True))

        self.admin.post(self.LIST, {"action": "delete_selected", "_selected_action": chosen, "post": "yes"})

        self.assertEqual([works(self.client), works(other)], [False, False])

    def test_revoking_is_written_in_the_history(self):
        self.admin.post(self.LIST, {"action": "delete_selected", "_selected_action": [self.token.pk], "post": "yes"})

        entry = LogEntry.objects.get()
        self.assertEqual((entry.user, entry.is_deletion(), entry.object_repr), (self.superuser, True, str(self.token)))
        self.assertContains(self.admin.get(self.LIST), "0 tokens")

    def test_list_speaks_of_revoking(self):
        self.assertContains(self.admin.get(self.LIST), "Revoke the selected tokens")

    def test_tokens_are_neither_added_nor_changed(self):
        self.assertEqual(self.admin.get(f"{self.LIST}add/").status_code, 403)
        change = reverse("admin:accounts_authtoken_change", args=[self.token.pk])
        self.assertEqual(self.admin.post(change, {"user": self.superuser.pk}).status_code, 403)
        self.assertEqual(AuthToken.objects.get().user, self.user)


class RefreshTokenAdminTests(AdminTestCase):
    LIST = "/admin/token_blacklist/outstandingtoken/"

    def setUp(self):
        super().setUp()
        self.pair = new_jwt_pair(self.user)
        self.token = OutstandingToken.objects.get()

    def end(self, *tokens):
        return self.admin.post(self.LIST, {"action": "end", "_selected_action": [token.pk for token in tokens]})

    def test_token_put_on_the_blacklist_gives_no_new_pair(self):
        other = new_jwt_pair(self.user)

        self.end(self.token)

        self.assertEqual([refreshes(self.pair), refreshes(other)], [False, True])
        self.assertEqual(LogEntry.objects.get().change_message, "Put on the blacklist.")

    def test_token_that_is_on_it_already_is_not_ended_again(self):
        self.end(self.token)

        response = self.end(self.token)

        self.assertContains(self.admin.get(response.url), "0 tokens were ended.")
        self.assertEqual(LogEntry.objects.count(), 1)

    def test_list_tells_whose_and_which_are_ended(self):
        self.assertContains(self.admin.get(self.LIST), 'alt="False"')
        self.end(self.token)
        page = self.admin.get(self.LIST, {"q": "ana@example.com"})
        self.assertContains(page, 'alt="True"')
        self.assertContains(page, self.token.jti)

    def test_page_of_a_token_shows_no_secret(self):
        page = self.admin.get(reverse("admin:token_blacklist_outstandingtoken_change", args=[self.token.pk]))

        self.assertContains(page, self.token.jti)
        self.assertNotContains(page, str(self.pair))

    def test_staff_who_may_only_look_end_none(self):
        clerk = make_user(is_staff=True)
        clerk.user_permissions.add(Permission.objects.get(codename="view_outstandingtoken"))
        self.admin.force_login(clerk)

        self.end(self.token)

        self.assertTrue(refreshes(self.pair))


class UserAdminTests(AdminTestCase):
    def change_password(self, **fields):
        url = reverse("admin:auth_user_password_change", args=[self.user.pk])
        response = self.admin.post(url, fields)
        self.assertEqual(response.status_code, 302, response.content)

    def change(self, **fields):
        """Send the user's page as a browser would, with these fields changed."""
        url = reverse("admin:accounts_user_change", args=[self.user.pk])
        form = self.admin.get(url).context["adminform"].form
        shown = {name: form[name].value() for name in form.fields if name != "password"}
        sent = {name: value for name, value in shown.items() if value not in (None, False, "")}
        sent["initial-email_verified"] = str(shown["email_verified"])
        for name in ("last_login", "date_joined"):
            moment = sent.pop(name, None)
            if moment:
                sent |= {f"{name}_0": f"{moment:%Y-%m-%d}", f"{name}_1": f"{moment:%H:%M:%S}"}
        return self.admin.post(url, sent | fields)

    def test_password_changed_here_ends_every_session(self):
        clients = both_clients_for(self.user).values()
        pair = new_jwt_pair(self.user)

        self.change_password(password1=NEW_PASSWORD, password2=NEW_PASSWORD, usable_password="true")

        self.assertTrue(User.objects.get(pk=self.user.pk).check_password(NEW_PASSWORD))
        self.assertEqual([works(client) for client in clients], [False, False])
        self.assertFalse(refreshes(pair))

    def test_password_disabled_here_ends_every_session(self):
        clients = both_clients_for(self.user).values()
        pair = new_jwt_pair(self.user)

        self.change_password(**{"usable_password": "false", "unset-password": "1"})

        self.assertFalse(User.objects.get(pk=self.user.pk).has_usable_password())
        self.assertEqual([works(client) for client in clients], [False, False])
        self.assertFalse(refreshes(pair))

    def test_superuser_who_changes_the_own_password_stays_in_the_admin(self):
        tokens = both_clients_for(self.superuser).values()
        form = {"old_password": PASSWORD, "new_password1": NEW_PASSWORD, "new_password2": NEW_PASSWORD}

        self.admin.post("/admin/password_change/", form)

        self.assertEqual([works(client) for client in tokens], [False, False])
        self.assertEqual(get_user(self.admin), self.superuser)

    def test_other_changes_end_no_session(self):
        clients = both_clients_for(self.user).values()

        response = self.change(name="Ana María")

        self.assertEqual(response.status_code, 302, response.content)
        self.assertEqual(User.objects.get(pk=self.user.pk).name, "Ana María")
        self.assertEqual([works(client) for client in clients], [True, True])

    def test_blocked_user_is_out_at_once(self):
        clients = both_clients_for(self.user).values()

        self.change(is_active="")

        self.assertEqual([works(client) for client in clients], [False, False])

    def test_taken_names_are_refused_in_any_case(self):
        make_user("bob", email="bob@example.com")
        for field, value in (("username", "BOB"), ("email", "BOB@example.com"), ("username", "Bob@Example.com")):
            with self.subTest(value):
                response = self.change(**{field: value})
                self.assertContains(response, "is taken.")
        self.assertEqual(User.objects.get(pk=self.user.pk).username, "ana")

    def verified(self) -> bool:
        return User.objects.get(pk=self.user.pk).email_verified

    def test_verified_address_is_shown_taken_back_and_set(self):
        self.assertContains(self.admin.get("/admin/accounts/user/"), "Address verified")
        for box, verified in (("", False), ("on", True)):
            with self.subTest(verified):
                self.assertEqual(self.change(email_verified=box).status_code, 302)
                self.assertEqual(self.verified(), verified)

    def test_another_address_is_not_verified_unless_that_is_said_anew(self):
        self.assertEqual(self.change(email="other@example.com").status_code, 302)
        self.assertFalse(self.verified())

        self.change(email="third@example.com", email_verified="on")
        self.assertTrue(self.verified())

    def test_address_verified_since_the_page_was_opened_stays_so(self):
        as_the_page_had_it = {"email_verified": "", "initial-email_verified": "False"}
        self.assertEqual(self.change(name="Ana María", **as_the_page_had_it).status_code, 302)

        self.assertTrue(self.verified())

    def test_user_added_here_can_log_in(self):
        form = {"username": "eva", "email": "eva@example.com", "password1": NEW_PASSWORD, "password2": NEW_PASSWORD}

        self.admin.post("/admin/accounts/user/add/", form)

        login = client_for().post("/api/v1/auth/login/", {"email": "eva@example.com", "password": NEW_PASSWORD})
        self.assertEqual(login.status_code, 200)

    def test_search_by_each_of_the_names(self):
        User.objects.filter(pk=self.user.pk).update(phone="+34600123456")
        for search in ("ANA", "ana@example", "lis", "600123"):
            with self.subTest(search):
                self.assertContains(self.admin.get("/admin/accounts/user/", {"q": search}), "1 user")

    def test_hash_of_the_password_is_not_shown(self):
        page = self.admin.get(reverse("admin:accounts_user_change", args=[self.user.pk]))

        self.assertNotContains(page, self.user.password)
        self.assertNotContains(page, self.user.password.rpartition("$")[2])

    def test_log_in_to_the_admin_takes_the_email_too(self):
        visitor = Client()

        response = visitor.post("/admin/login/?next=/admin/", {"username": "BOSS@example.com", "password": PASSWORD})

        self.assertRedirects(response, "/admin/")

    def test_user_who_is_no_staff_does_not_get_in(self):
        visitor = Client()

        response = visitor.post("/admin/login/", {"username": "ana", "password": PASSWORD})

        self.assertEqual(response.status_code, 200)
        self.assertFalse(get_user(visitor).is_authenticated)


class UserDeletionTests(AdminTestCase):
    LIST = "/admin/accounts/user/"

    def delete(self, user):
        return self.admin.post(reverse("admin:accounts_user_delete", args=[user.pk]), {"post": "yes"})

    def test_user_without_traces_is_deleted_with_the_tokens(self):
        token_for(self.user)

        self.delete(self.user)

        self.assertFalse(User.objects.filter(pk=self.user.pk).exists())
        self.assertEqual(LogEntry.objects.get().object_repr, "ana")

    def test_user_with_tickets_stays_and_the_page_says_why(self):
        for _ in range(3):
            make_ticket(self.user)

        page = self.delete(self.user)

        self.assertContains(page, "ana: tickets: 3")
        self.assertContains(page, "Make such a user inactive instead")
        self.assertTrue(User.objects.filter(pk=self.user.pk).exists())

    def test_number_of_tickets_costs_no_queries(self):
        def queries() -> int:
            with CaptureQueriesContext(connection) as captured:
                self.delete(self.user)
            return len(captured)

        make_ticket(self.user)
        before = queries()
        for _ in range(5):
            make_image(make_ticket(self.user))

        self.assertEqual(queries(), before)

    def test_user_at_the_support_desk_stays(self):
        make_support_ticket(self.user)

        self.assertContains(self.delete(self.user), "support tickets: 1")

    def test_user_with_a_history_in_the_admin_is_not_deleted(self):
        clerk = make_user("clerk", is_staff=True)
        LogEntry.objects.create(user=clerk, action_flag=CHANGE, object_repr="something")

        self.assertContains(self.delete(clerk), "clerk: log entries: 1")

    def test_of_several_selected_none_goes_while_one_must_stay(self):
        make_ticket(self.user)
        chosen = [self.user.pk, make_user("bo").pk]

        page = self.admin.post(self.LIST, {"action": "delete_selected", "_selected_action": chosen, "post": "yes"})

        self.assertContains(page, "ana: tickets: 1")
        self.assertEqual(User.objects.filter(pk__in=chosen).count(), 2)

    def test_users_are_logged_out_everywhere(self):
        clients = both_clients_for(self.user).values()
        others = both_clients_for(make_user("bo")).values()

        self.admin.post(self.LIST, {"action": "log_out_everywhere", "_selected_action": [self.user.pk]})

        self.assertEqual([works(client) for client in clients], [False, False])
        self.assertEqual([works(client) for client in others], [True, True])
        entry = LogEntry.objects.get()
        self.assertEqual((entry.object_repr, entry.change_message), ("ana", "Logged out everywhere."))
