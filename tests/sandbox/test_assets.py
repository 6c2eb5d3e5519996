import tempfile
from pathlib import Path

from apps.sandbox.server import SandboxServer
from tests.sandbox.case import SandboxTestCase
from tests.sandbox.photos import photo

PHOTO = photo()


class CapTest(SandboxTestCase):
    server_options = {"max_bytes": 2 * len(PHOTO)}

    def test_oldest_bytes_go_and_the_record_stays(self):
        urls = [self.upload(PHOTO, public_id=f"hopla/{number}")["url"] for number in range(3)]

        self.assertEqual([self.get(url).status for url in urls], [404, 200, 200])
        self.assertEqual(len(self.sandbox.assets), 3)
        self.assertEqual(self.sandbox.assets.kept_bytes, 2 * len(PHOTO))

    def test_replaced_photo_counts_once(self):
        for _ in range(3):
            self.upload(PHOTO)

        self.assertEqual(self.sandbox.assets.kept_bytes, len(PHOTO))

    def test_deleted_photo_makes_room(self):
        self.upload(PHOTO)

        self.sandbox.assets.remove(public_id="hopla/one")

        self.assertEqual(self.sandbox.assets.kept_bytes, 0)


class FolderTest(SandboxTestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name) / "sandbox"
        self.server_options = {"folder": self.folder}
        super().setUp()

    def test_restarted_sandbox_still_shows_the_photos(self):
        stored = self.upload(PHOTO)
        self.sandbox.stop()

        with SandboxServer(folder=self.folder) as again:
            asset = again.assets.find(public_id="hopla/one")
            self.assertEqual((asset.asset_id, asset.etag), (stored["asset_id"], stored["etag"]))
            self.assertEqual(self.get(f"{again.url}/sandbox/image/upload/hopla/one.jpg").data, PHOTO)

    def test_deleted_photo_leaves_nothing_behind(self):
        self.upload(PHOTO)

        self.sandbox.assets.remove(public_id="hopla/one")

        self.assertEqual(list(self.folder.iterdir()), [])


class RestartTest(SandboxTestCase):
    def test_stopped_sandbox_comes_back_where_it_was(self):
        stored = self.upload(PHOTO)
        self.sandbox.stop()

        self.sandbox.start()

        self.assertEqual(self.get(stored["url"]).data, PHOTO)
