from apps.accounts.models import AuthToken, User
from tests.accounts.credentials import both_clients_for
from tests.case import ApiTestCase
from tests.makers import PASSWORD, client_for, make_user

URL = "/api/v1/auth/users/"
FIELDS = {"id", "username", "email", "email_verified", "name", "phone", "language", "is_staff", "date_joined"}


class ListUsersTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.staff = make_user("staff", is_staff=True)
        make_user("ana", email="lis@one.example", name="Ana Lis", phone="+34600123456")
        make_user("bob", email="bob@two.example", name="Bob Wolf", phone="+48512345678")
        self.client = client_for(self.staff)

    def usernames(self, **query) -> list[str]:
        response = self.client.get(URL, query)
        self.assertEqual(response.status_code, 200, response.content)
        return [user["username"] for user in response.json()["results"]]

    def test_answer_is_a_page_of_users_with_credentials_of_either_kind(self):
        for kind, client in both_clients_for(self.staff).items():
            with self.subTest(kind):
                response = client.get(URL)
                self.assertEqual(response.status_code, 200)
                self.assertEqual(response.json().keys(), {"count", "next", "previous", "results"})
                self.assertEqual(response.json()["count"], 3)
                for user in response.json()["results"]:
                    self.assertEqual(user.keys(), FIELDS)

    def test_passwords_are_not_shown(self):
        content = self.client.get(URL).content.decode()

        for user in User.objects.all():
            self.assertNotIn(user.password, content)

    def test_search_looks_at_name_username_email_and_phone_in_any_case(self):
        for search in ("ANA", "wolf", "one.example", "+48512"):
            with self.subTest(search):
                self.assertEqual(self.usernames(search=search), ["bob" if search in ("wolf", "+48512") else "ana"])

    def test_every_word_of_a_search_must_be_found(self):
        self.assertEqual(self.usernames(search="ana two.example"), [])
        self.assertEqual(self.usernames(search="ana one.example"), ["ana"])

    def test_pages(self):
        self.assertEqual(self.usernames(page_size=2), ["staff", "ana"])
        self.assertEqual(self.usernames(page_size=2, page=2), ["bob"])

    def test_page_past_the_last(self):
        self.assert_problem(self.client.get(URL, {"page": 2}), 404, "not_found")

    def test_bad_values(self):
        self.assert_invalid(self.client.get(URL, {"page": "two"}), ("page", "invalid"))
        self.assert_invalid(self.client.get(URL, {"page_size": "101"}), ("page_size", "invalid"))
        self.assertEqual(self.client.get(URL, {"search": "a\0b"}).status_code, 400)

    def test_anonymous(self):
        self.assert_unauthenticated(client_for().get(URL))

    def test_user_who_is_no_staff(self):
        for kind, client in both_clients_for(User.objects.get(username="ana")).items():
            with self.subTest(kind):
                self.assert_problem(client.get(URL), 403, "permission_denied")

    def test_other_methods(self):
        for method in ("put", "patch", "delete"):
            with self.subTest(method):
                self.assert_problem(getattr(self.client, method)(URL), 405, "method_not_allowed")


class CreateUserTests(ApiTestCase):
    def create(self, **fields):
        body = {"email": "ana@example.com", "password": PASSWORD} | fields
        return self.client.post(URL, {name: value for name, value in body.items() if value is not None})

    def assert_refused(self, response, *errors):
        before = User.objects.filter(is_active=True).count()
        self.assert_invalid(response, *errors)
        self.assertEqual(User.objects.count(), before)
        self.assertFalse(User.objects.filter(email="ana@example.com").exists())

    def test_without_a_username_the_email_serves(self):
        response = self.create()

        self.assertEqual(response.status_code, 201)
        self.assertEqual(response.json().keys(), FIELDS)
        self.assertEqual(response.json()["username"], "ana@example.com")

    def test_username_name_and_phone_are_kept(self):
        shown = self.create(username="ana", name="Ana Lis", phone="+34 600 123 456").json()

        self.assertEqual((shown["username"], shown["name"], shown["phone"]), ("ana", "Ana Lis", "+34600123456"))

    def test_new_user_is_not_logged_in_but_can_log_in(self):
        self.create()

        self.assertEqual(AuthToken.objects.count(), 0)
        login = self.client.post("/api/v1/auth/login/", {"email": "ana@example.com", "password": PASSWORD})
        self.assertEqual(login.status_code, 200)

    def test_password_and_its_hash_are_not_shown(self):
        content = self.create().content.decode()

        self.assertNotIn(PASSWORD, content)
        self.assertNotIn(User.objects.get().password, content)

    def test_user_does_not_become_staff(self):
        self.create(is_staff=True, is_superuser=True, groups=[1])

        user = User.objects.get()
        self.assertFalse(user.is_staff or user.is_superuser or user.groups.exists())

    def test_user_may_register_another(self):
        self.client = client_for(make_user("boss"))

        self.assertEqual(self.create().json()["email"], "ana@example.com")

    def test_each_field_that_must_be_there(self):
        for field in ("email", "password"):
            with self.subTest(field):
                self.assert_refused(self.create(**{field: None}), (field, "required"))
                self.assert_refused(self.create(**{field: ""}), (field, "blank"))

    def test_email_that_is_none(self):
        self.assert_refused(self.create(email="ana"), ("email", "invalid"))

    def test_email_too_long_to_serve_as_a_username(self):
        email = f"{'a' * 60}@{'.'.join(['b' * 40] * 3)}.example"

        self.assert_refused(self.create(email=email), ("username", "invalid"))
        self.assertEqual(self.create(email=email, username="ana").status_code, 201)

    def test_taken_email_and_username_in_any_case(self):
        make_user("bob", email="ANA@example.org")

        self.assert_refused(self.create(email="ana@Example.org", username="ana"), ("email", "unique"))
        self.assert_refused(self.create(username="Bob"), ("username", "unique"))

    def test_password_that_the_validators_refuse(self):
        for password, code in (("kurz-8x", "password_too_short"), ("password1", "password_too_common")):
            with self.subTest(code):
                self.assert_refused(self.create(password=password), ("password", code))

    def test_password_that_is_a_number(self):
        self.assert_refused(self.create(password=8127364519), ("password", "invalid"))

    def test_bad_phone(self):
        self.assert_refused(self.create(phone="600123456"), ("phone", "invalid"))
