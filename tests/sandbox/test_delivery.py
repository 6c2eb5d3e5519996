from cloudinary.utils import cloudinary_url

from tests.sandbox.case import SandboxTestCase
from tests.sandbox.photos import LEFT_TO_BE_TURNED_RIGHT, opened, photo

THUMBNAIL = "c_fill,g_auto,h_400,w_400/f_auto,q_auto"


class DeliveryTest(SandboxTestCase):
    def url(self, public_id="hopla/one", **options):
        """The official SDK's address for the asset, on the sandbox."""
        address, _ = cloudinary_url(
            public_id, secure=True, cloud_name="sandbox", api_secret="sandbox-secret", **options
        )
        return address.replace("https://res.cloudinary.com", self.sandbox.url)

    def test_url_of_the_response_shows_the_photo_as_sent(self):
        data = photo()
        answer = self.upload(data)

        response = self.get(answer["url"])

        self.assertEqual(response.data, data)
        self.assertEqual(response.headers["Content-Type"], "image/jpeg")
        self.assertEqual(response.headers["Access-Control-Allow-Origin"], "*")
        self.assertEqual(response.headers["X-Content-Type-Options"], "nosniff")

    def test_thumbnail_fills_its_square(self):
        self.upload(photo(size=(900, 600)))

        response = self.get(self.url(raw_transformation=THUMBNAIL))

        self.assertEqual(response.headers["Content-Type"], "image/jpeg")
        self.assertEqual(opened(response.data).size, (400, 400))

    def test_thumbnail_is_webp_for_a_browser_that_takes_it(self):
        self.upload(photo("HEIF", size=(900, 600)))

        response = self.get(self.url(raw_transformation=THUMBNAIL), Accept="image/avif,image/webp,*/*")

        self.assertEqual(response.headers["Content-Type"], "image/webp")
        self.assertEqual(opened(response.data).format, "WEBP")

    def test_thumbnail_stands_upright(self):
        self.upload(photo(size=(600, 300), orientation=LEFT_TO_BE_TURNED_RIGHT))

        response = self.get(self.url(width=100, crop="fit"))

        self.assertEqual(opened(response.data).size, (100, 200))

    def test_thumbnails_of_every_kind_of_photo(self):
        for kind in ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "HEIF", "TIFF", "BMP"):
            with self.subTest(kind):
                self.upload(photo(kind), public_id=f"hopla/{kind}")
                response = self.get(self.url(f"hopla/{kind}", raw_transformation="c_fit,w_32"))
                self.assertEqual(opened(response.data).size, (32, 24))

    def test_extension_converts(self):
        self.upload(photo("PNG"))

        response = self.get(self.url(format="jpg"))

        self.assertEqual(opened(response.data).format, "JPEG")

    def test_public_id_with_an_extension_of_its_own(self):
        data = photo()
        self.upload(data, public_id="hopla/photo.v2")

        self.assertEqual(self.get(self.url("hopla/photo.v2")).data, data)

    def test_unknown_photo_is_404(self):
        self.assertEqual(self.get(self.url("hopla/two")).status, 404)

    def test_other_cloud_is_404(self):
        self.upload()

        self.assertEqual(self.get(self.url().replace("/sandbox/", "/other/")).status, 404)

    def test_authenticated_photo_needs_a_signature(self):
        data = photo()
        answer = self.upload(data, type="authenticated")

        self.assertEqual(self.get(self.url(type="authenticated")).status, 401)
        self.assertEqual(self.get(self.url(type="authenticated", sign_url=True)).data, data)
        self.assertEqual(self.get(answer["url"]).data, data)

    def test_signature_covers_the_transformation(self):
        self.upload(type="authenticated")
        signed = self.url(type="authenticated", sign_url=True, raw_transformation="c_fit,w_32")

        self.assertEqual(self.get(signed).status, 200)
        self.assertEqual(self.get(signed.replace("w_32", "w_33")).status, 401)

    def test_broken_photo_gives_no_thumbnail(self):
        for kind in ("JPEG", "PNG", "AVIF", "HEIF"):
            with self.subTest(kind):
                self.upload(photo(kind, size=(300, 300))[:-60], public_id=f"hopla/{kind}")
                response = self.get(self.url(f"hopla/{kind}", raw_transformation=THUMBNAIL))
                self.assertEqual(response.status, 400)

    def test_head_has_no_body(self):
        answer = self.upload()

        response = self.http.request("HEAD", answer["url"])

        self.assertEqual((response.status, response.data), (200, b""))
        self.assertEqual(int(response.headers["Content-Length"]), answer["bytes"])
