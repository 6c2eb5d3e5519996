from datetime import timedelta

from django.contrib.auth import get_user
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import AuthToken, User
from apps.accounts.tokens import new_jwt_pair
from tests.accounts.credentials import both_clients_for, refreshes, works
from tests.case import ApiTestCase
from tests.makers import PASSWORD, client_for, make_user, token_for

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

    def test_tokens_are_neither_added_nor_changed(self):
        self.assertEqual(self.admin.get(f"{self.LIST}add/").status_code, 403)
        change = reverse("admin:accounts_authtoken_change", args=[self.token.pk])
        self.assertEqual(self.admin.post(change, {"user": self.superuser.pk}).status_code, 403)
        self.assertEqual(AuthToken.objects.get().user, self.user)


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
