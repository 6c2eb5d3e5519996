import uuid

from apps.tickets.models import Image
from apps.tickets.staging import store
from tests.tickets.resumable.case import PHOTO, TusTestCase, metadata


class WholeUploadTests(TusTestCase):
    def test_upload_in_pieces_becomes_an_image(self):
        begun = self.begin(Upload_Metadata=metadata(filename="kitchen.jpg", filetype="image/jpeg"))
        path = begun["Location"]
        self.assertEqual((begun.status_code, begun["Upload-Offset"], begun["Tus-Resumable"]), (201, "0", "1.0.0"))
        self.assertEqual(self.offset_of(path), 0)

        first = self.send(path, 0, PHOTO[:40_000])
        self.assertEqual((first.status_code, first["Upload-Offset"]), (204, "40000"))
        self.assertEqual(self.offset_of(path), 40_000)
        self.assertFalse(Image.objects.exists())

        last = self.send(path, 40_000, PHOTO[40_000:])
        self.assertEqual((last.status_code, last["Upload-Offset"]), (204, str(len(PHOTO))))
        image = Image.objects.get()
        self.assertEqual(path, f"{self.uploads_path}{image.pk}/")
        self.assertEqual(self.client.get(last["Content-Location"]).json()["id"], str(image.pk))
        self.assertEqual((image.status, image.filename, image.size), ("queued", "kitchen.jpg", len(PHOTO)))
        self.assertEqual(bytes(store.read(image.pk, image.size)), PHOTO)
        self.assertEqual(store.bytes_in_use(), len(PHOTO))
        asked = self.ask(path)
        self.assertEqual((asked.status_code, asked["Upload-Offset"], asked["Upload-Length"]), (200, "100000", "100000"))

    def test_upload_that_never_was_is_404(self):
        self.assertEqual(self.ask(f"{self.uploads_path}{uuid.uuid4()}/").status_code, 404)
