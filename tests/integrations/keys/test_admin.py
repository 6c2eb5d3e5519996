"""API keys in the admin."""

from datetime import timedelta

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from apps.accounts.models import User
from apps.integrations.keys.form import digest_of
from apps.integrations.keys.making import MAX_KEYS, revoke
from apps.integrations.models import ApiKey
from tests.case import ApiTestCase
from tests.makers import key_client, make_api_key, make_user

KEYS = "/admin/integrations/apikey/"


def log_in(user, group: str | None = None) -> Client:
    if group:
        user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    return client


class AdminTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.owner = make_user("ana")
        self.key, self.secret = make_api_key(self.owner, scopes=["support", "tickets:read"])
        self.superuser = log_in(make_user(is_staff=True, is_superuser=True))
        self.operator = log_in(make_user(is_staff=True), "operators")
        self.agent = log_in(make_user(is_staff=True), "support agents")

    def history(self) -> list[str]:
        return [entry.get_change_message() for entry in LogEntry.objects.order_by("pk")]


class ListTests(AdminTestCase):
    def test_list_says_whose_it_is_and_what_it_may_do(self):
        for client in (self.superuser, self.operator, self.agent):
            for path in (KEYS, f"{KEYS}{self.key.pk}/change/"):
                page = client.get(path)
                for text in ("ana", "Order system", self.secret[:12], "tickets:read support", "working"):
                    self.assertContains(page, text)
                for text in (self.secret, self.key.digest):
                    self.assertNotContains(page, text)

    def test_states(self):
        ApiKey.objects.update(expires_at=timezone.now())
        self.assertContains(self.agent.get(KEYS), "badge-expired")
        ApiKey.objects.update(expires_at=None)
        User.objects.filter(pk=self.owner.pk).update(is_active=False)
        self.assertContains(self.agent.get(KEYS), "badge-inactive")
        revoke(self.key)
        self.assertContains(self.agent.get(KEYS), "badge-revoked")

    def test_found_by_its_beginning_and_its_owner(self):
        make_api_key(name="Another")
        for searched in (self.secret[:12], "ana@example.com", "Order"):
            page = self.agent.get(KEYS, {"q": searched})
            self.assertContains(page, self.secret[:12])
            self.assertNotContains(page, "Another")

    def test_page_of_the_user_leads_to_their_keys(self):
        make_api_key(name="Another")
        path = f"{KEYS}?owner__id__exact={self.owner.pk}"
        self.assertContains(self.superuser.get(f"/admin/accounts/user/{self.owner.pk}/change/"), path)
        page = self.superuser.get(path)
        self.assertContains(page, self.secret[:12])
        self.assertNotContains(page, "Another")


class MakingTests(AdminTestCase):
    def make(self, client=None, **fields):
        form = {"owner": self.owner.pk, "name": "Crawler", "scopes": ["tickets:read"]}
        return (client or self.superuser).post(f"{KEYS}add/", form | fields)

    def test_key_is_shown_this_once(self):
        later = timezone.now() + timedelta(days=2)
        page = self.make(expires_at_0=later.date().isoformat(), expires_at_1="12:00:00")

        key = ApiKey.objects.first()
        self.assertEqual((key.owner, key.name, key.scopes), (self.owner, "Crawler", ["tickets:read"]))
        self.assertEqual(key.expires_at.date(), later.date())
        secret = page.context["secret"]
        self.assertContains(page, f'value="{secret}"')
        self.assertEqual(key.digest, digest_of(secret))
        self.assertIn("no-store", page["Cache-Control"])
        self.assertEqual(page["Referrer-Policy"], "no-referrer")
        self.assertEqual(key_client(secret).get("/api/v1/tickets/").status_code, 200)
        self.assertNotContains(self.superuser.get(f"{KEYS}{key.pk}/change/"), secret)
        self.assertNotIn(secret, str(list(LogEntry.objects.values())))

    def test_superusers_alone(self):
        for client in (self.operator, self.agent):
            self.assertEqual(self.make(client).status_code, 403)
            self.assertEqual(client.get(f"{KEYS}add/").status_code, 403)
        self.assertEqual(ApiKey.objects.count(), 1)

    def test_bad_input(self):
        for fields in (
            {"name": ""},
            {"name": "a\u0085b"},
            {"scopes": []},
            {"scopes": ["admin"]},
            {"owner": 999},
            {"expires_at_0": "2020-01-01", "expires_at_1": "12:00:00"},
        ):
            with self.subTest(fields):
                self.assertContains(self.make(**fields), "errornote")
        self.assertEqual(ApiKey.objects.count(), 1)

    def test_number_of_keys_is_bounded(self):
        for _ in range(MAX_KEYS - 1):
            make_api_key(self.owner)
        self.assertContains(self.make(), "as many API keys as one user may have")
        self.assertEqual(ApiKey.objects.count(), MAX_KEYS)


class RevokingTests(AdminTestCase):
    def act(self, client, *keys: ApiKey):
        form = {"action": "revoke", "_selected_action": [key.pk for key in keys]}
        return client.post(KEYS, form, follow=True)

    def test_one_and_many(self):
        others = [make_api_key()[0] for _ in range(2)]
        self.assertContains(self.operator.get(f"{KEYS}{self.key.pk}/change/"), "Revoke the key")
        self.assertContains(self.act(self.operator, self.key), "1 API key was revoked.")
        self.assertContains(self.act(self.superuser, self.key, *others), "2 API keys were revoked.")
        self.assertEqual(ApiKey.objects.filter(revoked_at=None).count(), 0)
        self.assertEqual(self.history(), ["Revoked."] * 3)
        self.assert_unauthenticated(key_client(self.secret).get("/api/v1/tickets/"), "api_key_revoked")
        self.assertNotContains(self.operator.get(f"{KEYS}{self.key.pk}/change/"), "Revoke the key")

    def test_agents_only_look(self):
        self.act(self.agent, self.key)
        self.assertNotContains(self.agent.get(f"{KEYS}{self.key.pk}/change/"), "Revoke the key")
        self.assertIsNone(ApiKey.objects.get().revoked_at)

    def test_nobody_deletes_or_edits_one(self):
        for page in ("change", "delete"):
            self.assertEqual(self.superuser.post(f"{KEYS}{self.key.pk}/{page}/", {"post": "yes"}).status_code, 403)
        self.assertEqual(ApiKey.objects.count(), 1)
