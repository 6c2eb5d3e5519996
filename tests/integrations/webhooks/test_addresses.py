import ipaddress
import threading

from django.test import SimpleTestCase, override_settings

from apps.integrations.errors import WebhookUrlRefusedError
from apps.integrations.webhooks.addresses import addresses_of, check_url, destination_of

PUBLIC = "93.184.215.14"
PUBLIC_V6 = "2606:2800:21f:cb07:6820:80da:af6b:8b2c"

# One address of each network, and the last one of it where a narrower rule would let that pass.
REFUSED_V4 = [
    "0.0.0.0",
    "0.255.255.255",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.9",
    "192.0.0.10",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.255.255",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
]
REFUSED_V6 = [
    "::",
    "::1",
    "::7f00:1",
    "::5db8:d70e",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "febf::1",
    "fec0::1",
    "feff::1",
    "ff02::1",
    "ff0e::1",
    "64:ff9b::7f00:1",
    "64:ff9b::5db8:d70e",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2002:5db8:d70e::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:20::1",
    "2001:2f::1",
    "2001:db8::1",
    "3fff::1",
    "3fff:fff::1",
    "100::1",
    "5f00::1",
    "::ffff:0:7f00:1",
    "4000::1",
]


def nothing_asked(name):
    raise AssertionError("no name is resolved for an address, or for a URL that makes no sense")


@override_settings(WEBHOOK_ALLOWED_NETWORKS=[])
class AddressTestCase(SimpleTestCase):
    def assert_refused(self, url: str, *, resolve=nothing_asked) -> str:
        with self.assertRaises(WebhookUrlRefusedError, msg=url) as caught:
            check_url(url, resolve=resolve)
        self.assertEqual(caught.exception.get_codes(), "webhook_url_refused")
        return str(caught.exception.detail)

    def assert_address_refused(self, address: str) -> None:
        """As the host of a URL, and as what a name leads to."""
        self.assert_refused(f"https://[{address}]/" if ":" in address else f"https://{address}/")
        self.assert_refused("https://hooks.example/", resolve=lambda name: [address])
        self.assert_refused("https://hooks.example/", resolve=lambda name: [PUBLIC, address])
        self.assert_refused("https://hooks.example/", resolve=lambda name: [address, PUBLIC])


class RefusedAddressTests(AddressTestCase):
    def test_addresses_that_are_not_of_the_internet(self):
        for address in REFUSED_V4 + REFUSED_V6:
            with self.subTest(address):
                self.assert_address_refused(address)

    def test_v4_addresses_in_the_clothes_of_v6(self):
        for address in REFUSED_V4:
            number = int(ipaddress.IPv4Address(address))
            for wrapped in (
                ipaddress.IPv6Address(0xFFFF << 32 | number),  # v4-mapped
                ipaddress.IPv6Address(number),  # v4-compatible
                ipaddress.IPv6Address((0x64FF9B << 96) | number),  # NAT64
                ipaddress.IPv6Address((0x64FF9B0001 << 80) | number),  # NAT64 of a network of its own
                ipaddress.IPv6Address((0x2002 << 112) | (number << 80)),  # 6to4
                ipaddress.IPv6Address((0x20010000 << 96) | (number ^ 0xFFFFFFFF)),  # Teredo
            ):
                with self.subTest(address, wrapped=str(wrapped)):
                    self.assert_address_refused(str(wrapped))
            with self.subTest(address, wrapped="in dots"):
                self.assert_address_refused(f"::ffff:{address}")

    def test_address_of_one_network_interface(self):
        self.assert_refused("https://hooks.example/", resolve=lambda name: ["fe80::1%eth0"])
        self.assert_refused("https://hooks.example/", resolve=lambda name: [f"{PUBLIC_V6}%eth0"])

    def test_public_addresses_are_dialled(self):
        for found, dialled in (
            ([PUBLIC], [PUBLIC]),
            ([PUBLIC_V6, PUBLIC, PUBLIC], [PUBLIC_V6, PUBLIC]),
            ([f"::ffff:{PUBLIC}"], [PUBLIC]),
        ):
            with self.subTest(found):
                destination = destination_of("https://hooks.example/")
                self.assertEqual(addresses_of(destination, resolve=lambda name, f=found: f, seconds=30), dialled)
        check_url(f"https://{PUBLIC}/", resolve=nothing_asked)
        check_url(f"https://[{PUBLIC_V6}]:8443/", resolve=nothing_asked)

    def test_which_names_exist_inside_is_not_told(self):
        def unknown(name):
            raise OSError("no such name")

        inside = self.assert_refused("https://db.internal/", resolve=lambda name: ["10.0.0.5"])
        self.assertEqual(self.assert_refused("https://nothing.internal/", resolve=unknown), inside)
        self.assertEqual(self.assert_refused("https://empty.internal/", resolve=lambda name: []), inside)
        self.assertNotIn("10.0.0.5", inside)

    def test_resolver_that_hangs_is_not_waited_for(self):
        over = threading.Event()
        self.addCleanup(over.set)
        with self.assertRaises(WebhookUrlRefusedError):
            addresses_of(destination_of("https://hooks.example/"), resolve=lambda name: over.wait(), seconds=0.01)


class AllowedNetworkTests(AddressTestCase):
    def test_networks_of_the_operator_are_dialled_by_http_too(self):
        with self.settings(WEBHOOK_ALLOWED_NETWORKS=[ipaddress.ip_network("10.1.0.0/16")]):
            for url in ("http://10.1.2.3:8080/in", "https://10.1.2.3/in"):
                check_url(url, resolve=nothing_asked)
            check_url("http://hooks.internal/", resolve=lambda name: ["::ffff:10.1.2.3"])
            self.assert_refused("http://10.2.0.1/")
            self.assert_refused("https://10.2.0.1/")
            self.assert_refused("https://hooks.internal/", resolve=lambda name: ["10.1.2.3", "10.2.0.1"])

    def test_public_hosts_are_not_dialled_by_http(self):
        self.assert_refused(f"http://{PUBLIC}/")
        self.assert_refused("http://hooks.example/", resolve=lambda name: [PUBLIC])


class UrlTests(AddressTestCase):
    def test_urls_that_could_be_read_in_two_ways(self):
        for url in (
            "",
            "hooks.example",
            "//hooks.example/",
            "ftp://hooks.example/",
            "javascript:alert(1)",
            "https:/hooks.example/",
            "https:///in",
            "https://",
            "https://user@hooks.example/",
            "https://user:pass@hooks.example/",
            f"https://{PUBLIC}@10.0.0.1/",
            "https://hooks.example/#fragment",
            "https://hooks.example#@other.example/",
            "https://hooks.example\\@10.0.0.1/",
            "https://hooks.example\\.other.example/",
            "https://hooks.example/in out",
            " https://hooks.example/",
            "https://hooks.example/\n",
            "https://hooks.example/\r\nX-Other: 1",
            "https://hooks.example/\0",
            "https://hooks.example\t/",
            "https://hooks.example/\x7f",
            "https://hooks.example/żółw",
            "https://hooks.example:/",
            "https://hooks.example:٤٤٣/",
            "https://hooks.example:443:443/",
            "https://%31%30.0.0.1/",
            "https://hooks%2eexample/",
            "https://[::1",
            "https://[::1%25eth0]/",
            "https://[fe80::1%eth0]/",
            f"https://[::ffff:{PUBLIC}]/",
            "https://[::ffff:5db8:d70e]/",
            f"https://[{PUBLIC}]/",
            "https://[hooks.example]/",
            "https://hooks.example/" + "a" * 2000,
        ):
            with self.subTest(url):
                self.assert_refused(url)

    def test_addresses_in_unusual_forms(self):
        for host in (
            "0x7f.1",
            "0x7f000001",
            "2130706433",
            "127.1",
            "127.0.1",
            "0177.0.0.1",
            "127.0.0.01",
            "127.0.0.1.",
            "93.184.215.014",
            "1572394766",
            "0x5db8d70e",
            "93.184.55054",
            "９３.184.215.14",  # noqa: RUF001
            "93。184。215。14",
            "٩٣.184.215.14",
            "①②⑦.0.0.1",
            "93.184.215.14.5",
            "93.184.215.256",
            "name.0x7f",
        ):
            with self.subTest(host):
                self.assert_refused(f"https://{host}/")

    def test_names_that_dns_does_not_have(self):
        for host in (
            "hooks.example.",
            ".hooks.example",
            "hooks..example",
            "-hooks.example",
            "hooks-.example",
            "a" * 64 + ".example",
            ".".join(["a" * 63] * 4),
            "hooks.exam!ple",
            "hooks.exam*ple",
            "ho\u00adoks..example",
            "xn--\u0142.example",
        ):
            with self.subTest(host):
                self.assert_refused(f"https://{host}/")

    def test_ports(self):
        for port in (0, 1, 22, 25, 81, 444, 1023, 65536, 99999):
            with self.subTest(port):
                self.assert_refused(f"https://hooks.example:{port}/")
        for port in (80, 443, 1024, 8443, 65535):
            self.assertEqual(destination_of(f"https://hooks.example:{port}/").port, port)

    def test_parts_of_a_url(self):
        longest = f"{'.'.join(['a' * 63] * 3)}.{'b' * 61}"
        for url, host, port, target, header in (
            ("https://hooks.example", "hooks.example", 443, "/", "hooks.example"),
            ("HTTPS://Hooks.Example/In?a=1&b=[2]", "hooks.example", 443, "/In?a=1&b=[2]", "hooks.example"),
            ("https://hooks.example?a", "hooks.example", 443, "/?a", "hooks.example"),
            ("https://hooks.example:80/", "hooks.example", 80, "/", "hooks.example:80"),
            ("https://a_b.hooks-2.example/%20", "a_b.hooks-2.example", 443, "/%20", "a_b.hooks-2.example"),
            ("https://żółw.example/", "xn--w-uga1v8h.example", 443, "/", "xn--w-uga1v8h.example"),
            ("https://[2606:2800:0:0:0:0:0:1]:8443/", "2606:2800::1", 8443, "/", "[2606:2800::1]:8443"),
            (f"https://{longest}/", longest, 443, "/", longest),
        ):
            with self.subTest(url):
                found = destination_of(url)
                self.assertEqual((found.host, found.port, found.target), (host, port, target))
                self.assertEqual(found.host_header, header)
