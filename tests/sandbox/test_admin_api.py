import cloudinary.api
import cloudinary.exceptions
from cloudinary import api

from tests.sandbox.case import SandboxTestCase
from tests.sandbox.photos import photo


class AdminApiTest(SandboxTestCase):
    def test_ping_returns_ok(self):
        self.assertEqual(api.ping(**self.sdk)["status"], "ok")

    def test_usage_names_the_limits(self):
        self.upload()

        usage = api.usage(**self.sdk)

        self.assertEqual(usage["resources"], 1)
        self.assertEqual(usage["media_limits"]["image_max_size_bytes"], 10485760)

    def test_resource_describes_the_asset(self):
        stored = self.upload(tags=["front"])

        found = api.resource("hopla/one", **self.sdk)

        for name in ("asset_id", "public_id", "version", "format", "bytes", "width", "height", "etag", "url", "type"):
            self.assertEqual(found[name], stored[name], name)
        self.assertEqual(found["tags"], ["front"])

    def test_unknown_resource_is_not_found(self):
        with self.assertRaisesRegex(cloudinary.exceptions.NotFound, "Resource not found - hopla/two"):
            api.resource("hopla/two", **self.sdk)

    def test_resource_must_name_the_type(self):
        self.upload(type="authenticated")

        with self.assertRaises(cloudinary.exceptions.NotFound):
            api.resource("hopla/one", **self.sdk)
        self.assertEqual(api.resource("hopla/one", type="authenticated", **self.sdk)["type"], "authenticated")

    def test_resources_by_ids_leave_out_what_is_not_there(self):
        self.upload(public_id="hopla/a,b")

        found = api.resources_by_ids(["hopla/a,b", "hopla/c"], **self.sdk)["resources"]

        self.assertEqual([resource["public_id"] for resource in found], ["hopla/a,b"])

    def test_more_than_100_ids_are_refused(self):
        with self.assertRaises(cloudinary.exceptions.BadRequest):
            api.resources_by_ids([f"hopla/{number}" for number in range(101)], **self.sdk)

    def test_listing_pages_through_a_prefix(self):
        data = photo()
        for number in range(5):
            self.upload(data, public_id=f"hopla/{number}")
        self.upload(data, public_id="elsewhere/1")

        pages, cursor = [], None
        while cursor or not pages:
            page = api.resources(type="upload", prefix="hopla/", max_results=2, next_cursor=cursor, **self.sdk)
            pages.append([resource["public_id"] for resource in page["resources"]])
            cursor = page.get("next_cursor")

        self.assertEqual(pages, [["hopla/0", "hopla/1"], ["hopla/2", "hopla/3"], ["hopla/4"]])

    def test_delete_resources_tells_each_fate(self):
        self.upload()

        answer = api.delete_resources(["hopla/one", "hopla/two"], **self.sdk)

        self.assertEqual(answer["deleted"], {"hopla/one": "deleted", "hopla/two": "not_found"})
        self.assertEqual(len(self.sandbox.assets), 0)

    def test_wrong_secret_is_refused(self):
        with self.assertRaisesRegex(cloudinary.exceptions.AuthorizationRequired, "api_secret mismatch"):
            api.ping(**(self.sdk | {"api_secret": "other"}))

    def test_wrong_key_is_refused(self):
        with self.assertRaisesRegex(cloudinary.exceptions.AuthorizationRequired, "unknown api_key"):
            api.ping(**(self.sdk | {"api_key": "other"}))

    def test_unknown_paths_are_404(self):
        for path in ("v1_1", "v1_1/sandbox", "elsewhere"):
            with self.subTest(path):
                self.assertEqual(self.get(f"{self.sandbox.url}/{path}").status, 404)

    def test_anonymous_is_refused(self):
        response = self.get(f"{self.sandbox.url}/v1_1/sandbox/ping")

        self.assertEqual(response.status, 401)
        self.assertIn("WWW-Authenticate", response.headers)
