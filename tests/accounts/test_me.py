from apps.accounts.models import User
from apps.accounts.serializers import ProfileSerializer
from tests.accounts.credentials import ME, both_clients_for
from tests.case import ApiTestCase
from tests.makers import PASSWORD, client_for, make_user

FIELDS = {"id", "username", "email", "email_verified", "name", "phone", "language", "is_staff", "date_joined"}


class MeTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.user = make_user("ana", name="Ana Lis", phone="+34600123456")
        make_user("stranger")
        self.client = client_for(self.user)

    def patch(self, **fields):
        return self.client.patch(ME, fields)

    def assert_unchanged(self, response, *errors):
        self.assert_invalid(response, *errors)
        user = User.objects.get(pk=self.user.pk)
        self.assertEqual((user.name, user.phone, user.language), ("Ana Lis", "+34600123456", ""))

    def test_answer_is_the_user_with_credentials_of_either_kind(self):
        for kind, client in both_clients_for(self.user).items():
            with self.subTest(kind):
                response = client.get(ME)
                self.assertEqual(response.status_code, 200)
                self.assertEqual(response.json().keys(), FIELDS)
                self.assertEqual(response.json()["id"], self.user.pk)

    def test_password_is_not_shown(self):
        for response in (self.client.get(ME), self.patch(name="Ana")):
            self.assertNotIn(self.user.password, response.content.decode())

    def test_anonymous(self):
        self.assert_unauthenticated(client_for().get(ME))
        self.assert_unauthenticated(client_for().patch(ME, {"name": "x"}))

    def test_name_and_phone_are_kept(self):
        response = self.patch(name="Ana María", phone="+48 512 345 678")

        self.assertEqual(response.status_code, 200)
        self.assertEqual(response.json().keys(), FIELDS)
        self.assertEqual((response.json()["name"], response.json()["phone"]), ("Ana María", "+48512345678"))
        user = User.objects.get(pk=self.user.pk)
        self.assertEqual((user.name, user.phone), ("Ana María", "+48512345678"))

    def test_one_field_leaves_the_others(self):
        self.assertEqual(self.patch(name="Anna").json()["phone"], "+34600123456")

    def test_phone_and_name_can_be_emptied(self):
        response = self.patch(name="", phone="")

        self.assertEqual((response.json()["name"], response.json()["phone"]), ("", ""))

    def test_language_of_the_emails(self):
        self.assertEqual(self.patch(language="pl").json()["language"], "pl")
        self.assertEqual(self.patch(language="").json()["language"], "")

    def test_nothing_to_change(self):
        self.assertEqual(self.patch().status_code, 200)

    def test_what_is_not_ones_own_to_change_stays(self):
        before = User.objects.values().get(pk=self.user.pk)

        response = self.patch(nickname="Annie", is_superuser=True)

        self.assertEqual(response.status_code, 200)
        self.assertEqual(User.objects.values().get(pk=self.user.pk), before)

    def test_what_exists_and_cannot_be_changed_is_refused_by_its_name(self):
        fixed = self.client.get(ME).json().keys() - {"name", "phone", "language"} | {"password"}
        for name in fixed:
            with self.subTest(name):
                self.assert_unchanged(self.patch(name="Anna", **{name: None}), (name, "not_changeable"))

        response = self.patch(phone="+34 12", username="boss", is_staff=True)
        self.assert_unchanged(
            response, ("phone", "invalid"), ("username", "not_changeable"), ("is_staff", "not_changeable")
        )

    def test_null_is_as_if_left_out(self):
        response = self.patch(name=None, phone=None, language=None)

        self.assertEqual(response.status_code, 200)
        self.assertEqual((response.json()["name"], response.json()["phone"]), ("Ana Lis", "+34600123456"))

    def test_bad_phone(self):
        for phone in ("600123456", "+34 12", "call me", ["+34600123456"]):
            with self.subTest(phone):
                self.assert_unchanged(self.patch(phone=phone), ("phone", "invalid"))

    def test_name_too_long(self):
        self.assert_unchanged(self.patch(name="a" * 151), ("name", "max_length"))

    def test_language_that_hopla_does_not_speak(self):
        self.assert_unchanged(self.patch(language="tlh"), ("language", "invalid_choice"))

    def test_body_that_is_no_object(self):
        self.assert_unchanged(self.client.patch(ME, ["Ana"]), (None, "invalid"))

    def test_other_methods(self):
        for method in ("post", "put", "delete"):
            with self.subTest(method):
                self.assert_problem(getattr(self.client, method)(ME), 405, "method_not_allowed")
        self.assertTrue(User.objects.filter(pk=self.user.pk).exists())

    def test_change_does_not_set_back_what_happened_since_the_request_was_authenticated(self):
        as_the_request_has_it = User.objects.get(pk=self.user.pk)
        changed = User.objects.get(pk=self.user.pk)
        changed.set_password("another-horse-battery")
        changed.is_active = False
        changed.save()

        change = ProfileSerializer(as_the_request_has_it, data={"name": "Anna"}, partial=True)
        change.is_valid(raise_exception=True)
        change.save()

        user = User.objects.get(pk=self.user.pk)
        self.assertEqual((user.name, user.is_active, user.check_password(PASSWORD)), ("Anna", False, False))
