"""Direct uploads in manifests and archives: the md5 stands for the sha256 that nobody has computed."""

import io
import json
import zipfile

from django.test import override_settings

from apps.tickets.handover import signing
from apps.tickets.handover.archive import Archive, PhotoDiffersError
from apps.tickets.handover.manifest import canonical, read_manifest
from apps.tickets.handover.verification import differences, verified_manifest
from apps.tickets.models import Image
from tests.makers import jpeg_bytes
from tests.tickets.direct.case import DirectTestCase
from tests.tickets.handover.makers import store_photo


@override_settings(MANIFEST_SIGNING_KEY=[b"1" * 32])
class HandoverTests(DirectTestCase):
    def setUp(self):
        super().setUp()
        self.enterContext(override_settings(CLOUDINARY_DELIVERY_URL=self.sandbox.url))
        self.image, form = self.begun()
        answer = self.posted(form)
        self.notify(self.facts(self.image, version=answer["version"]))
        store_photo(self.ticket, jpeg_bytes(2))

    def manifest(self):
        return read_manifest(self.ticket.pk, reader=self.owner)

    def test_manifest_has_one_or_the_other(self):
        direct, ordinary = self.manifest().content["photos"]

        self.assertEqual((direct["sha256"], direct["md5"]), (None, self.facts(self.image)["etag"]))
        self.assertEqual((len(ordinary["sha256"]), ordinary["md5"]), (64, None))
        self.assertEqual((direct["content_type"], direct["size"]), ("image/jpeg", len(self.photo)))

    def test_archive_is_verified_by_either(self):
        content = b"".join(Archive([self.manifest()]))
        jwks = signing.public_keys()
        with zipfile.ZipFile(io.BytesIO(content)) as opened:
            signed = opened.read("manifest.jws").decode()
            self.assertEqual(opened.read("001-kitchen.jpg"), self.photo)
        verified = verified_manifest(signed, jwks)
        self.assertEqual(list(differences(verified, io.BytesIO(content), jwks)), [])

        verified["photos"][0]["md5"] = "0" * 32
        told = list(differences(verified, io.BytesIO(content), jwks))
        self.assertIn("'001-kitchen.jpg' does not have the md5 that the manifest says.", told)

    def test_archive_with_other_bytes_breaks_off(self):
        Image.objects.filter(pk=self.image.pk).update(md5="0" * 32)

        with self.assertRaises(PhotoDiffersError):
            b"".join(Archive([self.manifest()]))

    def test_photo_without_any_digest_is_no_manifest(self):
        content = json.loads(self.manifest().canonical)
        content["photos"][0]["md5"] = None

        with self.assertRaisesRegex(signing.NotVerifiedError, "lacks fields"):
            verified_manifest(signing.sign(canonical(content)), signing.public_keys())
