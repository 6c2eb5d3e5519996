import json

from tests.sandbox.case import SandboxTestCase


class ControlTest(SandboxTestCase):
    def ask(self, method, path, payload=None):
        body = None if payload is None else json.dumps(payload)
        return self.http.request(method, f"{self.sandbox.url}/_sandbox/{path}", body=body)

    def test_rules_can_be_set_over_http(self):
        rules = [{"kind": "refuse", "status": 503, "times": 1}, {"kind": "latency", "seconds": 0, "rate": 0.5}]

        answer = self.ask("PUT", "faults", {"seed": 7, "rules": rules})

        self.assertEqual(answer.status, 200)
        self.assertEqual(self.post_signed().status, 503)
        self.assertEqual(self.post_signed().status, 200)
        told = self.ask("GET", "faults").json()
        self.assertEqual(told["seed"], 7)
        self.assertEqual([(rule["kind"], rule["fired"]) for rule in told["rules"][:1]], [("refuse", 1)])

    def test_rules_read_can_be_put_back(self):
        self.sandbox.misbehave("refuse", status=429)
        told = self.ask("GET", "faults").json()

        self.assertEqual(self.ask("PUT", "faults", told).json(), told)

    def test_one_rule_can_be_added(self):
        self.sandbox.misbehave("latency", seconds=0)

        self.ask("POST", "faults", {"kind": "refuse"})

        self.assertEqual(self.post_signed().status, 503)

    def test_rules_can_be_lifted(self):
        self.sandbox.misbehave("refuse")

        self.ask("DELETE", "faults")

        self.assertEqual(self.post_signed().status, 200)

    def test_nonsense_is_refused_and_changes_nothing(self):
        self.sandbox.misbehave("latency", seconds=0)
        for method, payload in (
            ("POST", {"kind": "explode"}),
            ("POST", {"kind": "hang", "minutes": 1}),
            ("POST", []),
            ("PUT", {"rules": ["hang"]}),
            ("PUT", {"rules": 1}),
            ("PUT", {"seed": "lucky"}),
        ):
            with self.subTest(method=method, payload=payload):
                self.assertEqual(self.ask(method, "faults", payload).status, 400)
                self.assertEqual(len(self.ask("GET", "faults").json()["rules"]), 1)

    def test_assets_can_be_listed_and_forgotten(self):
        stored = self.upload()

        listed = self.ask("GET", "assets").json()["assets"]
        emptied = self.ask("DELETE", "assets").json()["assets"]

        self.assertEqual([(asset["public_id"], asset["etag"]) for asset in listed], [("hopla/one", stored["etag"])])
        self.assertEqual(emptied, [])
        self.assertEqual(len(self.sandbox.assets), 0)

    def test_requests_are_counted(self):
        stored = self.upload()
        self.get(stored["url"])

        told = self.ask("GET", "requests").json()

        self.assertEqual(told["counts"], {"upload": 1, "delivery": 1})
        self.assertEqual([(upload["public_id"], upload["stored"]) for upload in told["uploads"]], [("hopla/one", True)])

    def test_unknown_path_is_404(self):
        self.assertEqual(self.ask("GET", "secrets").status, 404)

    def test_unknown_method_is_405(self):
        self.assertEqual(self.ask("PUT", "assets", {}).status, 405)
