import os
from unittest import mock

from django.test import SimpleTestCase

from script import lan
from script.servers import CannotStart
from tests.scripts.test_environment import load_settings


class AddressTests(SimpleTestCase):
    def refusal_of(self, named: str) -> str:
        with self.assertRaises(CannotStart) as refused:
            lan.address_in_network(named)
        return str(refused.exception)

    def test_it_is_the_one_that_was_named(self):
        self.assertEqual(lan.address_in_network("127.0.0.1"), "127.0.0.1")

    def test_it_is_one_of_this_machine(self):
        for named in ("203.0.113.7", "phone", "::1", ""):
            with self.subTest(named):
                self.assertIn(f"--lan={named} is no IPv4 address of this machine", self.refusal_of(named))

    def test_it_is_one_and_not_all_of_them(self):
        self.assertIn("names all addresses of this machine", self.refusal_of("0.0.0.0"))

    def test_it_is_found_where_there_is_a_network(self):
        try:
            address = lan.found_address()
        except CannotStart as error:
            self.assertIn("found no network", str(error))
        else:
            self.assertEqual(lan.own_address(address), address)
            self.assertFalse(address.startswith("127."))

    def test_it_is_none_that_the_whole_internet_can_reach(self):
        for address in ("192.168.1.5", "10.0.0.2", "172.16.3.4", "169.254.7.7", "100.64.0.9"):
            lan.require_private(address)
        with self.assertRaisesMessage(CannotStart, "8.8.8.8 is a public address"):
            lan.require_private("8.8.8.8")


class OpeningTests(SimpleTestCase):
    def opened(self, **variables: str) -> tuple[list[str], str]:
        """The hosts that the settings allow then, and PUBLIC_URL."""
        with mock.patch.dict(os.environ, {"ALLOWED_HOSTS": "", "PUBLIC_URL": ""} | variables):
            lan.open_to_network("192.168.1.5", port=8000)
            return os.environ["ALLOWED_HOSTS"].split(","), os.environ["PUBLIC_URL"]

    def test_hopla_answers_at_the_address_besides_where_it_answers_anyway(self):
        hosts, public_url = self.opened()
        _, made_of_nothing = load_settings({})
        self.assertEqual(repr(hosts[:-1]), made_of_nothing["ALLOWED_HOSTS"])
        self.assertEqual((hosts[-1], public_url), ("192.168.1.5", "http://192.168.1.5:8000"))

    def test_what_the_environment_names_stays(self):
        named = {"ALLOWED_HOSTS": "hopla.example", "PUBLIC_URL": "https://hopla.example"}
        self.assertEqual(self.opened(**named), (["hopla.example", "192.168.1.5"], "https://hopla.example"))
