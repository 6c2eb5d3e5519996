from datetime import timedelta

from django.utils import timezone
from knox.crypto import hash_token
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken

from apps.accounts.models import AuthToken
from apps.accounts.tokens import forget_expired_tokens, new_jwt_pair, new_opaque_token
from tests.accounts.credentials import ME, works
from tests.case import ApiTestCase
from tests.makers import client_for, make_user, token_for


class OpaqueTokenTests(ApiTestCase):
    def test_token_is_kept_as_a_hash(self):
        secret = token_for(make_user())

        (kept,) = AuthToken.objects.values()
        self.assertEqual(kept["digest"], hash_token(secret))
        self.assertNotIn(secret, map(str, kept.values()))

    def test_beginning_of_a_token_and_its_hash_are_no_tokens(self):
        token_for(make_user())
        kept = AuthToken.objects.get()
        for value in (kept.token_key, kept.digest, kept.token_key.ljust(64, "0")):
            with self.subTest(value):
                self.client.credentials(HTTP_AUTHORIZATION=f"Token {value}")
                self.assertFalse(works(self.client))

    def test_each_log_in_is_a_session_of_its_own(self):
        user = make_user()
        first, second = client_for(user), client_for(user)

        AuthToken.objects.order_by("created").first().delete()

        self.assertEqual([works(first), works(second)], [False, True])

    def test_token_works_until_its_expiry(self):
        client = client_for(make_user())
        for moment, valid in ((timedelta(minutes=1), True), (timedelta(seconds=-1), False)):
            with self.subTest(moment):
                AuthToken.objects.update(expiry=timezone.now() + moment)
                self.assertEqual(works(client), valid)

    def test_use_does_not_put_off_the_expiry(self):
        client = client_for(make_user())
        expiry = timezone.now() + timedelta(minutes=1)
        AuthToken.objects.update(expiry=expiry)

        works(client)

        self.assertEqual(AuthToken.objects.get().expiry, expiry)

    def test_expired_tokens_go_at_the_next_log_in(self):
        user, other = make_user(), make_user()
        for owner in (user, user, other):
            token_for(owner)
        AuthToken.objects.update(expiry=timezone.now() - timedelta(days=1))

        fresh, _ = new_opaque_token(user)

        self.assertCountEqual(AuthToken.objects.filter(user=user), [fresh])
        self.assertEqual(AuthToken.objects.filter(user=other).count(), 1)

    def test_number_of_sessions_does_not_cost_a_request_more(self):
        user = make_user()
        client = client_for(user)
        works(client)
        with self.assertNumQueries(1):
            works(client)
        for _ in range(5):
            token_for(user)
        with self.assertNumQueries(1):
            works(client)


class LastUseTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.client = client_for(make_user())

    def last_use_after_a_request(self, *, earlier):
        AuthToken.objects.update(last_used_at=earlier)
        self.assertEqual(self.client.get(ME).status_code, 200)
        return AuthToken.objects.get().last_used_at

    def test_token_that_was_never_used(self):
        self.assertIsNone(AuthToken.objects.get().last_used_at)

    def test_first_use_is_noted(self):
        before = timezone.now()

        self.assertGreaterEqual(self.last_use_after_a_request(earlier=None), before)

    def test_use_within_the_minute_writes_nothing(self):
        earlier = timezone.now() - timedelta(seconds=50)

        self.assertEqual(self.last_use_after_a_request(earlier=earlier), earlier)

    def test_use_after_a_minute_is_noted(self):
        before = timezone.now()

        self.assertGreaterEqual(self.last_use_after_a_request(earlier=before - timedelta(seconds=61)), before)

    def test_refused_token_is_not_used(self):
        AuthToken.objects.update(expiry=timezone.now() - timedelta(seconds=1))

        self.client.get(ME)

        self.assertIsNone(AuthToken.objects.get().last_used_at)


class ExpiredTokenTests(ApiTestCase):
    def test_tokens_of_both_kinds_are_forgotten_once_they_have_expired_and_no_others(self):
        user = make_user()
        live, dead = new_opaque_token(user)[0], new_opaque_token(user)[0]
        new_jwt_pair(user), new_jwt_pair(user)
        yesterday = timezone.now() - timedelta(days=1)
        AuthToken.objects.filter(pk=dead.pk).update(expiry=yesterday)
        OutstandingToken.objects.filter(pk=OutstandingToken.objects.first().pk).update(expires_at=yesterday)

        self.assertEqual(forget_expired_tokens(), 2)
        self.assertEqual(forget_expired_tokens(), 0)
        self.assertEqual(list(AuthToken.objects.all()), [live])
        self.assertEqual(OutstandingToken.objects.count(), 1)
