"""What a password is before it is hashed, and how it is hashed."""

import unicodedata

from django.contrib.auth.hashers import make_password
from django.test import override_settings

from apps.accounts.hashers import Argon2idHasher
from apps.accounts.models import User
from hopla import settings as hoplas_own
from tests.accounts.credentials import works
from tests.accounts.test_secrets import CountingHasher
from tests.case import ApiTestCase
from tests.makers import PASSWORD, client_for, make_user

LOGIN = "/api/v1/auth/login/"
SET_PASSWORD = "/api/v1/auth/users/set_password/"
# As one keyboard and another send the same password: composed, decomposed, and in the full width of a Japanese one.
COMPOSED = "Żółć-na-brzegu"
FULL_WIDTH = COMPOSED.translate({code: code + 0xFEE0 for code in range(0x21, 0x7F)})
SPELLINGS = (COMPOSED, unicodedata.normalize("NFD", COMPOSED), FULL_WIDTH)
COMPATIBLE = "ﬁne-rain-over-②-hills"  # a ligature and a digit in a circle, as only NFKC changes them


def logs_in(password: str, *, username="ana") -> bool:
    status = client_for().post(LOGIN, {"username": username, "password": password}).status_code
    assert status in (200, 401), status
    return status == 200


class SpellingTests(ApiTestCase):
    def test_password_that_was_set_is_good_in_every_spelling(self):
        for number, chosen in enumerate(SPELLINGS):
            name = f"ana{number}"
            body = {"username": name, "email": f"{name}@example.com", "password": chosen}
            self.assertEqual(self.client.post("/api/v1/auth/register/", body).status_code, 201)
            for typed in SPELLINGS:
                with self.subTest(chosen=ascii(chosen), typed=ascii(typed)):
                    self.assertTrue(logs_in(typed, username=name))

    def test_current_password_in_another_spelling(self):
        client = client_for(make_user("ana", password=SPELLINGS[0]))

        response = client.post(SET_PASSWORD, {"current_password": SPELLINGS[1], "new_password": SPELLINGS[2] + "!"})

        self.assertEqual(response.status_code, 204, response.content)
        self.assertTrue(logs_in(SPELLINGS[0] + "!"))

    def test_what_is_refused_is_the_password_that_would_be_kept(self):
        body = {"username": "ana", "email": "ana@example.com", "password": "password①"}

        self.assert_invalid(self.client.post("/api/v1/auth/register/", body), ("password", "password_too_common"))

    def test_hash_of_before_passwords_had_one_form_still_works_and_is_made_anew(self):
        user = make_user("ana")
        User.objects.filter(pk=user.pk).update(password=make_password(COMPATIBLE))
        normal = unicodedata.normalize("NFKC", COMPATIBLE)
        self.assertFalse(logs_in(normal))

        self.assertTrue(logs_in(COMPATIBLE))

        self.assertEqual([logs_in(COMPATIBLE), logs_in(normal)], [True, True])

    @override_settings(PASSWORD_HASHERS=["tests.accounts.test_secrets.CountingHasher"])
    def test_spelling_does_not_tell_which_accounts_exist(self):
        make_user("ana")
        make_user("gone", is_active=False)
        make_user("nothing", password=None)
        for name in ("ana", "gone", "nothing", "nobody"):
            with self.subTest(name):
                CountingHasher.hashes = 0
                self.assertFalse(logs_in("ﬁne-rain", username=name))
                self.assertEqual(CountingHasher.hashes, 2)


@override_settings(PASSWORD_HASHERS=hoplas_own.PASSWORD_HASHERS)
class HasherTests(ApiTestCase):
    def test_new_password_is_hashed_with_argon2id(self):
        user = make_user("ana")

        self.assertRegex(user.password, r"^argon2\$argon2id\$v=19\$m=19456,t=2,p=1\$")
        self.assertEqual([logs_in(PASSWORD), logs_in(PASSWORD + "x")], [True, False])

    def test_hash_fits_its_column(self):
        longest = Argon2idHasher().encode("x" * 128, Argon2idHasher().salt())

        self.assertLessEqual(len(longest), User._meta.get_field("password").max_length)

    def test_old_hash_is_made_anew_at_log_in_and_no_session_ends(self):
        user = make_user("ana")
        client = client_for(user)
        User.objects.filter(pk=user.pk).update(password=make_password(PASSWORD, hasher="pbkdf2_sha256"))
        self.assertFalse(logs_in("wrong"))
        self.assertTrue(User.objects.get().password.startswith("pbkdf2_sha256$"))

        self.assertTrue(logs_in(PASSWORD))

        self.assertTrue(User.objects.get().password.startswith("argon2$argon2id$"))
        self.assertTrue(works(client))
        self.assertTrue(logs_in(PASSWORD))

    def test_password_changed_while_an_old_hash_is_made_anew_is_not_set_back(self):
        make_user("ana")
        User.objects.update(password=make_password(PASSWORD, hasher="pbkdf2_sha256"))
        as_the_log_in_has_it = User.objects.get()
        changed = User.objects.get()
        changed.set_password("another-horse-battery")
        changed.save()

        self.assertTrue(as_the_log_in_has_it.check_password(PASSWORD))

        self.assertTrue(User.objects.get().check_password("another-horse-battery"))

    def test_no_password_at_all_is_wrong(self):
        self.assertFalse(make_user("ana").check_password(None))
