import hashlib
import re
import socket

import cloudinary.exceptions
import cloudinary.uploader
from cloudinary import utils

from tests.sandbox.case import SandboxTestCase
from tests.sandbox.photos import photo


class UploadTest(SandboxTestCase):
    def test_upload_returns_what_cloudinary_returns(self):
        data = photo(size=(640, 480))

        answer = self.upload(data, tags=["a", "b"], context={"k": "v"}, asset_folder="tickets", display_name="Front")

        self.assertEqual(answer["public_id"], "hopla/one")
        self.assertEqual(answer["bytes"], len(data))
        self.assertEqual(answer["etag"], hashlib.md5(data).hexdigest())
        self.assertEqual((answer["width"], answer["height"], answer["format"]), (640, 480, "jpg"))
        self.assertEqual((answer["resource_type"], answer["type"]), ("image", "upload"))
        self.assertRegex(answer["created_at"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertRegex(answer["asset_id"], r"^[0-9a-f]{32}$")
        self.assertRegex(answer["version_id"], r"^[0-9a-f]{32}$")
        self.assertEqual(answer["tags"], ["a", "b"])
        self.assertEqual(answer["context"], {"custom": {"k": "v"}})
        self.assertEqual((answer["asset_folder"], answer["display_name"]), ("tickets", "Front"))
        self.assertEqual(answer["url"], f"{self.sandbox.url}/sandbox/image/upload/v{answer['version']}/hopla/one.jpg")

    def test_response_is_signed_with_version_1(self):
        answer = self.upload()

        signed = {"public_id": answer["public_id"], "version": answer["version"]}
        self.assertEqual(answer["signature"], utils.api_sign_request(signed, "sandbox-secret", signature_version=1))

    def test_every_kind_of_photo_is_recognised(self):
        kinds = {
            "JPEG": "jpg",
            "MPO": "jpg",
            "PNG": "png",
            "GIF": "gif",
            "WEBP": "webp",
            "AVIF": "avif",
            "HEIF": "heic",
            "TIFF": "tif",
            "BMP": "bmp",
        }
        for written, named in kinds.items():
            with self.subTest(written):
                answer = self.upload(photo(written), public_id=f"hopla/{written}")
                self.assertEqual((answer["format"], answer["width"], answer["height"]), (named, 64, 48))

    def test_second_upload_replaces_the_first(self):
        first = self.upload(photo(color="red"))

        second = self.upload(photo(color="blue"))

        self.assertEqual(len(self.sandbox.assets), 1)
        self.assertEqual(second["asset_id"], first["asset_id"])
        self.assertGreater(second["version"], first["version"])
        self.assertEqual(self.sandbox.assets.find(public_id="hopla/one").etag, second["etag"])
        self.assertEqual(self.sandbox.assets.find(public_id="hopla/one").times_stored, 2)

    def test_overwrite_off_leaves_the_first(self):
        first = self.upload(photo(color="red"))

        second = self.upload(photo(color="blue"), overwrite=False)

        self.assertTrue(second["existing"])
        self.assertEqual(second["etag"], first["etag"])

    def test_types_are_kept_apart(self):
        self.upload(type="upload")

        answer = self.upload(type="authenticated")

        self.assertEqual(answer["type"], "authenticated")
        self.assertEqual(len(self.sandbox.assets), 2)

    def test_upload_without_public_id_gets_one(self):
        answer = self.upload(public_id=None)

        self.assertTrue(answer["public_id"])

    def test_every_arrival_is_noted(self):
        data = photo()
        self.upload(data)
        self.upload(data)

        arrivals = [(arrival.public_id, arrival.bytes, arrival.stored) for arrival in self.sandbox.uploads]
        self.assertEqual(arrivals, [("hopla/one", len(data), True)] * 2)
        self.assertEqual(self.sandbox.requests["upload"], 2)

    def test_browser_of_another_site_may_upload(self):
        response = self.http.request("OPTIONS", f"{self.sandbox.url}/v1_1/sandbox/image/upload")

        self.assertEqual(response.headers["Access-Control-Allow-Origin"], "*")
        self.assertIn("POST", response.headers["Access-Control-Allow-Methods"])
        self.assertEqual(self.sandbox.requests["upload"], 0)

    def test_connection_is_kept_alive(self):
        self.post_signed()
        self.post_signed()

        pool = self.http.connection_from_url(self.sandbox.url)
        self.assertEqual((pool.num_connections, pool.num_requests), (1, 2))


class RefusalTest(SandboxTestCase):
    server_options = {"image_max_bytes": 1000}

    def assert_refused(self, message, data, error=cloudinary.exceptions.BadRequest, **options):
        with self.assertRaisesRegex(error, re.escape(message)):
            self.upload(data, **options)
        self.assertEqual(len(self.sandbox.assets), 0)

    def test_missing_file_is_refused(self):
        self.assert_refused("Missing required parameter - file", b"")

    def test_empty_file_is_refused(self):
        self.assert_refused("Empty file", ("photo.jpg", b""))

    def test_text_is_refused(self):
        self.assert_refused("Invalid image file", b"This is a text called photo.jpg", filename="photo.jpg")

    def test_cut_header_is_refused(self):
        self.assert_refused("Invalid image file", photo()[:12])

    def test_large_file_is_refused(self):
        data = photo() + b"\0" * 1000
        self.assert_refused(f"File size too large. Got {len(data)}. Maximum is 1000.", data)

    def test_format_that_is_not_allowed_is_refused(self):
        self.assert_refused("Image file format png not allowed", photo("PNG"), allowed_formats=["jpg", "heic"])

    def test_allowed_formats_know_other_names(self):
        self.assertEqual(self.upload(allowed_formats=["png", "jpeg"])["format"], "jpg")

    def test_forbidden_characters_in_a_public_id_are_refused(self):
        self.assert_refused("is invalid", photo(), public_id="hopla/a?b")

    def test_other_resource_types_are_refused(self):
        self.assert_refused("The sandbox takes images only", photo(), resource_type="video")

    def test_web_address_is_refused(self):
        self.assert_refused("The sandbox takes the bytes of a file", "https://example.com/photo.jpg")

    def test_refused_photo_is_noted_as_not_stored(self):
        self.assert_refused("Invalid image file", b"text")
        self.assertEqual([arrival.stored for arrival in self.sandbox.uploads], [False])

    def test_chunked_body_is_refused(self):
        response = self.http.request(
            "POST", f"{self.sandbox.url}/v1_1/sandbox/image/upload", body=iter([b"a"]), chunked=True
        )
        self.assertEqual(response.status, 411)

    def test_client_that_leaves_halfway_leaves_nothing(self):
        body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n' + photo()
        head = (
            "POST /v1_1/sandbox/image/upload HTTP/1.1\r\nHost: sandbox\r\n"
            f"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {len(body) + 100}\r\n\r\n"
        )
        with socket.create_connection((self.sandbox.host, self.sandbox.port), timeout=60) as client:
            client.sendall(head.encode() + body)
            client.shutdown(socket.SHUT_WR)

            self.assertEqual(client.recv(100), b"")
        self.assertEqual(self.sandbox.uploads, [])


class DestroyTest(SandboxTestCase):
    def test_destroy_deletes_the_asset(self):
        self.upload()

        answer = cloudinary.uploader.destroy("hopla/one", **self.sdk)

        self.assertEqual(answer["result"], "ok")
        self.assertEqual(len(self.sandbox.assets), 0)

    def test_destroying_what_is_not_there_is_no_error(self):
        self.assertEqual(cloudinary.uploader.destroy("hopla/one", **self.sdk)["result"], "not found")

    def test_destroy_must_name_the_type(self):
        self.upload(type="authenticated")

        self.assertEqual(cloudinary.uploader.destroy("hopla/one", **self.sdk)["result"], "not found")
        self.assertEqual(
            cloudinary.uploader.destroy("hopla/one", type="authenticated", **self.sdk)["result"],
            "ok",
        )

    def test_destroy_with_a_wrong_secret_is_refused(self):
        self.upload()

        with self.assertRaises(cloudinary.exceptions.AuthorizationRequired):
            cloudinary.uploader.destroy("hopla/one", **(self.sdk | {"api_secret": "other"}))
        self.assertEqual(len(self.sandbox.assets), 1)
