from apps.accounts.tokens import new_jwt_pair
from tests.accounts.credentials import bearer_client, bearer_client_for, both_clients_for, refreshes, works
from tests.case import ApiTestCase
from tests.makers import client_for, make_user

LOGOUT = "/api/v1/auth/logout/"
LOGOUT_ALL = "/api/v1/auth/logout-all/"


class LogoutTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.user = make_user()
        self.client = client_for(self.user)

    def test_answer_is_empty(self):
        response = self.client.post(LOGOUT)

        self.assertEqual((response.status_code, response.content), (204, b""))

    def test_token_no_longer_works(self):
        self.client.post(LOGOUT)

        self.assertFalse(works(self.client))

    def test_second_time_is_refused(self):
        self.client.post(LOGOUT)

        self.assert_unauthenticated(self.client.post(LOGOUT), code="authentication_failed")

    def test_other_sessions_of_the_user_go_on(self):
        others = both_clients_for(self.user)

        self.client.post(LOGOUT)

        for kind, other in others.items():
            with self.subTest(kind):
                self.assertTrue(works(other))

    def test_with_a_jwt_all_jwts_of_the_user_end_and_opaque_tokens_go_on(self):
        pair, other_pair = new_jwt_pair(self.user), new_jwt_pair(self.user)

        self.assertEqual(bearer_client(pair.access_token).post(LOGOUT).status_code, 204)

        self.assertFalse(works(bearer_client(pair.access_token)))
        self.assertFalse(works(bearer_client(other_pair.access_token)))
        self.assertFalse(refreshes(pair))
        self.assertTrue(works(self.client))

    def test_log_in_after_log_out(self):
        bearer_client_for(self.user).post(LOGOUT)
        self.user.refresh_from_db()

        self.assertTrue(works(bearer_client_for(self.user)))


class LogoutAllTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.user = make_user()

    def test_every_session_of_both_kinds_ends(self):
        for kind in ("Token", "Bearer"):
            with self.subTest(by=kind):
                self.user.refresh_from_db()
                clients = [*both_clients_for(self.user).values(), *both_clients_for(self.user).values()]
                refresh = new_jwt_pair(self.user)

                response = both_clients_for(self.user)[kind].post(LOGOUT_ALL)

                self.assertEqual((response.status_code, response.content), (204, b""))
                self.assertEqual([works(client) for client in clients], [False] * 4)
                self.assertFalse(refreshes(refresh))

    def test_strangers_sessions_go_on(self):
        strangers = both_clients_for(make_user()).values()

        client_for(self.user).post(LOGOUT_ALL)

        self.assertEqual([works(client) for client in strangers], [True, True])


class RefusalTests(ApiTestCase):
    def test_anonymous(self):
        for url in (LOGOUT, LOGOUT_ALL):
            with self.subTest(url):
                self.assert_unauthenticated(self.client.post(url))

    def test_other_methods(self):
        client = client_for(make_user())
        for url in (LOGOUT, LOGOUT_ALL):
            for method in ("get", "put", "patch", "delete"):
                with self.subTest(url=url, method=method):
                    self.assert_problem(getattr(client, method)(url), 405, "method_not_allowed")
        self.assertTrue(works(client))
