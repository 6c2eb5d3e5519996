import hashlib
import io
import json
import zipfile

import jsonschema
import jwt
from django.test import SimpleTestCase, override_settings
from django.utils import timezone

from apps.tickets.handover import signing
from apps.tickets.handover.manifest import canonical
from apps.tickets.models.slots import slot_as_kept
from tests.case import ApiTestCase
from tests.common.api.test_schema import json_schema_of, read_schema
from tests.makers import client_for, jpeg_bytes, make_image, make_ticket, make_user
from tests.tickets.handover.makers import make_stored_ticket, running_delivery, store_photo

ONE, TWO = b"1" * 32, b"2" * 32
JOSE = "application/jose"
PHOTO_FIELDS = (
    "position slot image_id filename content_type size sha256 md5 width height created_at stored_at asset_id claims"
)


class ManifestTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.user = make_user()
        self.client = client_for(self.user)
        self.ticket = make_ticket(self.user, num_images=3)
        self.url = f"/api/v1/tickets/{self.ticket.pk}/manifest/"

    def test_names_the_stored_photos_byte_for_byte(self):
        self.enterContext(running_delivery())
        contents = [jpeg_bytes(number) for number in range(2)]
        ticket = make_stored_ticket(self.user, contents, filename="kitchen.jpg")
        manifest = self.client.get(f"/api/v1/tickets/{ticket.pk}/manifest/").json()
        read = self.client.get(f"/api/v1/tickets/{ticket.pk}/").json()
        for field in ("ticket_id", "status", "num_images", "completed_at"):
            self.assertEqual(manifest[field], read[field], field)
        self.assertEqual((manifest["reference"], manifest["metadata"]), ("", {}))
        self.assertEqual(len(manifest), 8)
        for photo, image, content in zip(manifest["photos"], read["images"], contents, strict=True):
            self.assertCountEqual(photo, PHOTO_FIELDS.split())
            self.assertEqual((photo["size"], photo["sha256"]), (len(content), hashlib.sha256(content).hexdigest()))
            self.assertEqual(photo["image_id"], image["id"])
            shared = photo.keys() & image.keys()
            self.assertEqual({name: photo[name] for name in shared}, {name: image[name] for name in shared})
            self.assertTrue(photo["asset_id"])

    def test_tells_what_photos_say_of_themselves_apart(self):
        make_image(
            self.ticket,
            status="stored",
            stored_at=timezone.now(),
            captured_at="2026-11-21T10:58:47",
            latitude=52.25,
            longitude=21.0,
            camera="Apple iPhone 13 Pro",
        )
        where = {"latitude": 52.25, "longitude": 21.0}
        for keep, location in ((True, where), (False, None)):
            with self.subTest(keep=keep), override_settings(KEEP_PHOTO_LOCATION=keep):
                [photo] = self.client.get(self.url).json()["photos"]
                claims = {"captured_at": "2026-11-21T10:58:47", "location": location, "camera": "Apple iPhone 13 Pro"}
                self.assertEqual(photo["claims"], claims)

    def test_has_the_integrators_reference_and_metadata_and_the_names_of_places(self):
        self.enterContext(running_delivery())
        slots = [slot_as_kept("front"), slot_as_kept("odometer")]
        ticket = make_ticket(
            self.user, num_images=3, slots=slots, reference="ORDER-12", metadata={"b": "Gdańsk", "a": ""}
        )
        for position in (1, 2, 3):
            store_photo(ticket, jpeg_bytes(position), position=position)
        manifest = self.client.get(f"/api/v1/tickets/{ticket.pk}/manifest/").json()
        self.assertEqual((manifest["reference"], manifest["metadata"]), ("ORDER-12", {"b": "Gdańsk", "a": ""}))
        self.assertEqual([photo["slot"] for photo in manifest["photos"]], ["front", "odometer", None])
        body = self.client.get(f"/api/v1/tickets/{ticket.pk}/archive/").getvalue()
        names = zipfile.ZipFile(io.BytesIO(body)).namelist()
        self.assertEqual(names[2:], ["001-front.jpg", "002-odometer.jpg", "003-photo.jpg"])

    def test_names_no_photo_that_is_not_stored(self):
        for position, status in enumerate(("queued", "uploading", "failed"), start=1):
            make_image(self.ticket, position=position, status=status)
        self.assertEqual(self.client.get(self.url).json()["photos"], [])

    def test_is_there_in_every_state(self):
        for status in ("pending", "in_progress", "completed", "cancelled", "expired"):
            ticket = make_ticket(self.user, status=status)
            manifest = self.client.get(f"/api/v1/tickets/{ticket.pk}/manifest/").json()
            self.assertEqual(manifest["status"], status)

    def test_is_read_by_one_statement(self):
        make_image(self.ticket, status="stored", asset_id="a", filename="ü.jpg")
        self.client.get(self.url)  # notes that the token is in use
        with self.assertNumQueries(2):  # the token, and the ticket with its images
            self.client.get(self.url)

    def test_is_in_canonical_form(self):
        make_image(self.ticket, status="stored", asset_id="a", filename='ü "1".jpg')
        response = self.client.get(self.url)
        content = response.content.decode()
        self.assertEqual(
            content, json.dumps(json.loads(content), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        )
        self.assertIn("ü", content)
        self.assertEqual(response["Content-Type"], "application/json")
        self.assertEqual(response["Cache-Control"], "private, no-store")
        self.assertIn("Accept", response["Vary"])

    def test_is_signed_for_who_accepts_jose(self):
        response = self.client.get(self.url, HTTP_ACCEPT=JOSE)
        self.assertEqual(response["Content-Type"], JOSE)
        keys = jwt.PyJWKSet.from_dict(client_for().get("/.well-known/jwks.json").json())
        header = jwt.get_unverified_header(response.content)
        self.assertEqual(header["alg"], "EdDSA")
        payload = jwt.PyJWS().decode(response.content, keys[header["kid"]].key, algorithms=["EdDSA"])
        self.assertEqual(canonical(json.loads(payload)), payload)
        self.assertEqual(json.loads(payload)["ticket_id"], self.ticket.pk)

    def test_accept_decides(self):
        for accept, expected in (
            ("", "application/json"),
            ("*/*", "application/json"),
            ("text/html", "application/json"),
            ("application/json, application/jose;q=0.5", "application/json"),
            ("application/jose, application/json;q=0.5", JOSE),
            ("application/jose, */*;q=0.1", JOSE),
        ):
            with self.subTest(accept):
                self.assertEqual(self.client.get(self.url, HTTP_ACCEPT=accept)["Content-Type"], expected)

    def test_anonymous_is_refused(self):
        self.assert_unauthenticated(client_for().get(self.url))

    def test_stranger_gets_404(self):
        response = client_for(make_user()).get(self.url, HTTP_ACCEPT=JOSE)
        self.assert_problem(response, 404, "not_found")

    def test_staff_may_read_it(self):
        self.assertEqual(client_for(make_user(is_staff=True)).get(self.url).status_code, 200)

    def test_ticket_that_does_not_exist_is_404(self):
        self.assert_problem(self.client.get(f"/api/v1/tickets/{2**63}/manifest/"), 404, "not_found")

    def test_cannot_be_written(self):
        for method in ("post", "put", "patch", "delete"):
            self.assert_problem(getattr(self.client, method)(self.url), 405, "method_not_allowed")

    def test_fits_the_schema(self):
        make_image(self.ticket, status="stored", asset_id="a", stored_at=self.ticket.created_at)
        schema = read_schema(self.client)
        operation = schema["paths"]["/tickets/{ticket_id}/manifest/"]["get"]
        self.assertLessEqual({"application/json", JOSE}, set(operation["produces"]))
        described = json_schema_of(schema, operation["responses"]["200"]["schema"])
        manifest = self.client.get(self.url).json()
        jsonschema.validate(manifest, described)
        self.assertCountEqual(manifest, schema["definitions"]["Manifest"]["properties"])
        self.assertCountEqual(manifest["photos"][0], schema["definitions"]["ManifestPhoto"]["properties"])


class KeysTests(SimpleTestCase):
    def read(self, **headers):
        return client_for().get("/.well-known/jwks.json", **headers)

    @override_settings(MANIFEST_SIGNING_KEY=[ONE, TWO])
    def test_all_keys_are_published_and_the_first_signs(self):
        response = self.read()
        one, two = response.json()["keys"]
        self.assertEqual(response["Content-Type"], "application/jwk-set+json")
        self.assertEqual(response["Access-Control-Allow-Origin"], "*")
        self.assertEqual(jwt.get_unverified_header(signing.sign(b"{}"))["kid"], one["kid"])
        self.assertNotEqual(one["kid"], two["kid"])
        for key in (one, two):
            self.assertCountEqual(key, ["kty", "crv", "x", "kid", "use", "alg"])

    def test_no_private_key_is_published(self):
        with override_settings(MANIFEST_SIGNING_KEY=[ONE]):
            self.assertNotIn(jwt.utils.base64url_encode(ONE).decode(), self.read().content.decode())

    def test_the_key_id_is_the_thumbprint_of_rfc_7638(self):
        """The key of RFC 8037, appendix A."""
        seed = jwt.utils.base64url_decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
        key = signing.SigningKey(seed)
        self.assertEqual(key.jwk["x"], "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
        self.assertEqual(key.id, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k")

    def test_old_key_still_verifies_after_rotation(self):
        with override_settings(MANIFEST_SIGNING_KEY=[ONE]):
            signed = signing.sign(b"{}")
        with override_settings(MANIFEST_SIGNING_KEY=[TWO, ONE]):
            self.assertEqual(signing.verified_payload(signed, self.read().json()), b"{}")
        with override_settings(MANIFEST_SIGNING_KEY=[TWO]), self.assertRaises(signing.NotVerifiedError):
            signing.verified_payload(signed, self.read().json())

    @override_settings(MANIFEST_SIGNING_KEY=[])
    def test_without_a_key_one_follows_from_the_secret_key(self):
        with override_settings(SECRET_KEY="one"):
            first, again = self.read().json(), self.read().json()
        with override_settings(SECRET_KEY="another"):
            other = self.read().json()
        self.assertEqual(first, again)
        self.assertNotEqual(first, other)
        self.assertEqual(len(first["keys"]), 1)

    @override_settings(MANIFEST_SIGNING_KEY=[], SECRET_KEY="for-development")
    def test_the_derived_key_never_changes(self):
        """What was signed by it could not be verified after an update."""
        self.assertEqual(self.read().json()["keys"][0]["kid"], "VaYtGZgYtpfTN84C8xXq0h0V0_bYB4kbnOuF4bNBnyE")

    def test_unchanged_keys_are_304_until_they_change(self):
        with override_settings(MANIFEST_SIGNING_KEY=[ONE]):
            etag = self.read()["ETag"]
            self.assertEqual(self.read(HTTP_IF_NONE_MATCH=etag).status_code, 304)
        with override_settings(MANIFEST_SIGNING_KEY=[TWO, ONE]):
            self.assertEqual(self.read(HTTP_IF_NONE_MATCH=etag).status_code, 200)

    def test_everyone_may_read_them_and_nobody_write(self):
        self.assertEqual(client_for().head("/.well-known/jwks.json").status_code, 200)
        self.assertEqual(client_for().post("/.well-known/jwks.json").status_code, 405)
