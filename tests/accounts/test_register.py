from django.test import override_settings

from apps.accounts.models import User
from tests.case import ApiTestCase, CommittingTestCase, at_once
from tests.makers import PASSWORD, client_for, make_user

URL = "/api/v1/auth/register/"


class RegisterTests(ApiTestCase):
    def register(self, **fields):
        body = {"username": "ana", "email": "ana@example.com", "password": PASSWORD} | fields
        return self.client.post(URL, {name: value for name, value in body.items() if value is not None})

    def assert_refused(self, response, *errors):
        self.assert_invalid(response, *errors)
        self.assertFalse(User.objects.filter(username="ana").exists())

    def test_new_user_gets_a_token_that_works(self):
        response = self.register(name="Ana Lis", phone="+34 600 123 456")

        self.assertEqual(response.status_code, 201)
        body = response.json()
        self.assertEqual(body.keys(), {"token", "expiry", "user"})
        self.client.credentials(HTTP_AUTHORIZATION=f"Token {body['token']}")
        self.assertEqual(self.client.get("/api/v1/tickets/").status_code, 200)

    def test_answer_shows_the_user_and_never_the_password(self):
        response = self.register(name="Ana Lis", phone="+34 600 123 456")

        user = User.objects.get()
        shown = response.json()["user"]
        self.assertEqual(
            shown,
            {
                "id": user.pk,
                "username": "ana",
                "email": "ana@example.com",
                "email_verified": False,
                "name": "Ana Lis",
                "phone": "+34600123456",
                "language": "",
                "is_staff": False,
                "date_joined": user.date_joined.isoformat().replace("+00:00", "Z"),
            },
        )
        self.assertNotIn(PASSWORD, response.content.decode())
        self.assertNotIn(user.password, response.content.decode())

    def test_password_is_hashed_at_rest(self):
        self.register()

        user = User.objects.get()
        self.assertNotIn(PASSWORD, user.password)
        self.assertTrue(user.check_password(PASSWORD))

    def test_user_does_not_register_as_staff(self):
        self.register(is_staff=True, is_superuser=True)

        user = User.objects.get()
        self.assertFalse(user.is_staff or user.is_superuser)

    def test_each_field_that_must_be_there(self):
        for field in ("username", "email", "password"):
            with self.subTest(field):
                self.assert_refused(self.register(**{field: None}), (field, "required"))
                self.assert_refused(self.register(**{field: ""}), (field, "blank"))

    def test_several_faults_are_named_at_once(self):
        response = self.register(username="", email="no address")

        self.assert_refused(response, ("username", "blank"), ("email", "invalid"))

    def test_username_with_signs_that_no_name_has(self):
        response = self.register(username="ana lis!")

        self.assert_refused(response, ("username", "invalid"))

    def test_taken_username_in_any_case(self):
        make_user("Ana", email="other@example.com")

        self.assert_refused(self.register(), ("username", "unique"))

    def test_taken_email_in_any_case(self):
        make_user("other", email="ANA@example.com")

        self.assert_refused(self.register(), ("email", "unique"))

    def test_username_that_is_another_users_email(self):
        make_user("other", email="shared@example.com")

        response = self.register(username="Shared@Example.com")

        self.assert_invalid(response, ("username", "unique"))

    def test_email_that_is_another_users_username(self):
        make_user("ana@example.com", email="other@example.com")

        self.assert_refused(self.register(), ("email", "unique"))

    def test_password_that_the_validators_refuse(self):
        for password, code in (
            ("kurz-8x", "password_too_short"),
            ("password1", "password_too_common"),
            ("ana@example.com", "password_too_similar"),
        ):
            with self.subTest(code):
                self.assert_refused(self.register(password=password), ("password", code))

    def test_password_of_digits_is_refused_for_all_its_faults(self):
        response = self.register(password="12345678")

        self.assert_refused(response, ("password", "password_too_common"), ("password", "password_entirely_numeric"))

    def test_each_fault_of_a_password_is_said_in_a_sentence(self):
        for password, sentences in (
            ("short", ["This password is too short. It must contain at least 8 characters."]),
            ("12345678", ["This password is too common.", "This password is entirely numeric."]),
        ):
            with self.subTest(password):
                errors = self.register(password=password).json()["errors"]
                self.assertEqual([error["detail"] for error in errors], sentences)

    def test_null_for_what_may_be_left_out_is_as_if_it_were(self):
        for url, body in (
            (URL, {"username": "ana", "email": "ana@example.com"}),
            ("/api/v1/auth/users/", {"username": None, "email": "eva@example.com"}),
        ):
            with self.subTest(url):
                response = self.client.post(url, body | {"password": PASSWORD, "name": None, "phone": None})
                self.assertEqual(response.status_code, 201, response.content)
        self.assertEqual(set(User.objects.values_list("username", flat=True)), {"ana", "eva@example.com"})

    def test_null_for_what_must_be_there_is_refused(self):
        body = {"username": None, "email": "ana@example.com", "password": PASSWORD}

        self.assert_refused(self.client.post(URL, body), ("username", "null"))

    def test_phone_that_is_no_number_with_a_country_code(self):
        for phone in ("600123456", "+34 12", "call me"):
            with self.subTest(phone):
                self.assert_refused(self.register(phone=phone), ("phone", "invalid"))

    def test_empty_phone_and_name_are_fine(self):
        response = self.register(phone="", name="")

        self.assertEqual(response.status_code, 201)
        self.assertEqual(response.json()["user"]["phone"], "")

    def test_zero_byte_in_a_name(self):
        self.assert_refused(self.register(name="a\0b"), ("name", "null_characters_not_allowed"))

    def test_body_that_is_no_object(self):
        self.assert_refused(self.client.post(URL, ["ana"]), (None, "invalid"))

    def test_body_of_a_form_is_refused(self):
        response = self.client.post(URL, {"username": "ana"}, format="multipart")

        self.assert_problem(response, 415, "unsupported_media_type")

    def test_other_methods(self):
        for method in ("get", "put", "patch", "delete"):
            with self.subTest(method):
                response = getattr(self.client, method)(URL)
                self.assert_problem(response, 405, "method_not_allowed")
                self.assertEqual(response["Allow"], "POST, OPTIONS")

    def test_useless_token_is_no_hindrance(self):
        self.client.credentials(HTTP_AUTHORIZATION="Token expired-long-ago")

        self.assertEqual(self.register().status_code, 201)


class LoggedInTests(ApiTestCase):
    def test_user_who_registers_another_gets_the_others_token(self):
        client = client_for(make_user("boss"))

        response = client.post(URL, {"username": "ana", "email": "ana@example.com", "password": PASSWORD})

        self.assertEqual(response.json()["user"]["username"], "ana")


@override_settings(THROTTLE_RATES={})
class RaceTests(CommittingTestCase):
    def test_name_asked_for_by_many_at_once_is_given_once(self):
        body = {"username": "ana", "email": "ana@example.com", "password": PASSWORD}

        def register(_):
            return client_for().post(URL, body)

        responses = at_once(register, range(8))

        self.assertEqual(User.objects.count(), 1)
        refused = [response for response in responses if response.status_code != 201]
        self.assertEqual(len(refused), 7)
        for response in refused:
            errors = self.assert_problem(response, 400, "invalid")["errors"]
            self.assertEqual({error["code"] for error in errors}, {"unique"})
