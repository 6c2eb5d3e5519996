"""manage.py audit_assets: it finds differences between the database and Cloudinary."""

import io
from datetime import timedelta

from django.core.management import CommandError, call_command
from django.utils import timezone

from apps.sandbox.forms import Photo
from apps.sandbox.pictures import Picture
from apps.tickets.kinds.examples import keep_example
from apps.tickets.models import AssetRemoval, ExamplePicture, Image, Ticket
from apps.tickets.models.transition import Transition
from apps.tickets.storage import cloudinary
from apps.tickets.storage.removal import schedule_removal
from apps.tickets.upkeep.reconcile import reconcile
from tests.case import ApiTestCase
from tests.makers import begin_attempt, jpeg_bytes, make_accepted_image, make_image, make_ticket, running_sandbox


class AuditTestCase(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.sandbox = self.enterContext(running_sandbox())
        self.ticket = make_ticket(num_images=5)

    def stored(self, seed=1, *, minutes_ago=60) -> Image:
        image = self.deliver(make_accepted_image(self.ticket, seed=seed))
        Image.objects.filter(pk=image.pk).update(stored_at=timezone.now() - timedelta(minutes=minutes_ago))
        return image

    def put(self, public_id: str, content=None) -> str:
        cloudinary.put(public_id=public_id, content=content or jpeg_bytes(50))
        return public_id

    def audit(self, *options: str) -> tuple[int, list[str]]:
        """Returns the exit code and the lines that the command prints."""
        out = io.StringIO()
        try:
            call_command("audit_assets", *options, stdout=out)
        except CommandError as error:
            return error.returncode, [*out.getvalue().splitlines(), str(error)]
        return 0, out.getvalue().splitlines()

    def assert_agree(self, *, images: int, assets: int, options=()) -> None:
        counts = f"{images} stored images, {assets} assets at Cloudinary"
        self.assertEqual(self.audit(*options), (0, [counts, "both sides agree"]))

    def assert_found(self, *found: str, options=()) -> None:
        code, lines = self.audit(*options)
        self.assertEqual(code, 1, lines)
        self.assertEqual([line.split(":")[0] for line in lines[1:-1]], list(found))
        self.assertIn("--fix", lines[-1])


class AgreementTests(AuditTestCase):
    def test_nothing_on_either_side(self):
        self.assert_agree(images=0, assets=0)

    def test_every_stored_image_has_its_asset(self):
        for seed in range(3):
            self.stored(seed)

        self.assert_agree(images=3, assets=3)

    def test_assets_of_others_in_the_same_account_are_no_business_of_it(self):
        self.put("logo")
        self.put("hoplas/other")

        self.assert_agree(images=0, assets=0)

    def test_photos_in_flight_are_no_findings(self):
        self.sandbox.misbehave("store_then_drop", times=1)
        landed = self.deliver(make_accepted_image(self.ticket, seed=1))
        begin_attempt(make_accepted_image(self.ticket, seed=2))
        self.assertEqual(landed.status, "queued")

        self.assert_agree(images=0, assets=1)

    def test_assets_that_are_going_already_are_no_findings(self):
        schedule_removal(self.put("hopla/on-its-way-out"), due_at=timezone.now() + timedelta(hours=1))

        self.assert_agree(images=0, assets=1)

    def test_failed_image_without_an_asset_is_no_finding(self):
        make_image(self.ticket, status="failed")

        self.assert_agree(images=0, assets=0)


class FindingsTests(AuditTestCase):
    def test_asset_without_an_image(self):
        self.stored()
        self.put("hopla/of-nobody")
        lost = self.put("hopla/00000000-0000-4000-8000-000000000000")

        self.assert_found(f"orphan   {lost}", "orphan   hopla/of-nobody")

    def test_asset_of_a_failed_image(self):
        image = make_image(self.ticket, status="failed")
        self.put(image.public_id)

        self.assert_found(f"orphan   {image.public_id}")

    def test_stored_image_without_its_asset(self):
        image = self.stored()
        self.sandbox.assets.clear()

        self.assert_found(f"missing  {image.public_id}")

    def test_asset_of_other_bytes_than_were_sent(self):
        image = self.stored()
        self.put(image.public_id, jpeg_bytes(1, size=5000))

        self.assert_found(f"changed  {image.public_id}")

    def test_more_assets_than_one_page_holds(self):
        photo, picture = Photo("photo", 3, b"\xff\xd8\xff"), Picture(1, 1, "jpg")
        for number in range(501):
            self.sandbox.assets.store(
                public_id=f"hopla/{number}", type="upload", photo=photo, picture=picture, overwrite=True, details={}
            )

        code, lines = self.audit()

        self.assertEqual((code, len(set(lines[1:-1]))), (1, 501))
        self.assertEqual(self.sandbox.requests["admin"], 3)  # two pages of photos, one of example pictures


class GraceTests(AuditTestCase):
    def test_image_stored_just_now_is_not_called_missing(self):
        self.stored(minutes_ago=0)
        self.sandbox.assets.clear()

        self.assert_agree(images=0, assets=0)

    def test_grace_can_be_named(self):
        image = self.stored(minutes_ago=3)
        self.sandbox.misbehave("admin_lag", seconds=600)

        self.assert_agree(images=0, assets=0)
        self.assert_agree(images=0, assets=0, options=["--grace=200"])
        self.assert_found(f"missing  {image.public_id}", options=["--grace=100"])


class FixTests(AuditTestCase):
    def test_orphans_go_in_the_background(self):
        kept = self.stored()
        self.put("hopla/of-nobody")

        code, lines = self.audit("--fix")

        self.assertEqual((code, lines[-1][:6]), (0, "mended"))
        self.assertEqual(len(self.sandbox.assets), 2)
        reconcile()
        self.assertEqual([asset.public_id for asset in self.sandbox.assets], [kept.public_id])
        self.assert_agree(images=1, assets=1)

    def test_image_without_its_photo_is_failed_and_its_place_free(self):
        missing, changed = self.stored(1), self.stored(2)
        self.sandbox.assets.clear()
        self.put(changed.public_id, jpeg_bytes(2, size=5000))

        self.assertEqual(self.audit("--fix")[0], 0)

        codes = dict(Image.objects.filter(status="failed").values_list("pk", "error_code"))
        self.assertEqual(codes, {missing.pk: "asset_missing", changed.pk: "asset_changed"})
        self.assertEqual(self.ticket.progress().remaining, 5)
        AssetRemoval.objects.update(due_at=timezone.now())
        reconcile()
        self.assert_agree(images=0, assets=0)
        self.assertEqual(list(AssetRemoval.objects.all()), [])

    def test_log_of_transitions_names_it(self):
        missing, changed = self.stored(1), self.stored(2)
        self.sandbox.assets.clear()
        self.put(changed.public_id, jpeg_bytes(2, size=5000))

        self.audit("--fix")

        actors = Transition.objects.filter(to_status="failed").values_list("image_id", "actor")
        self.assertEqual(dict(actors), {missing.pk: "audit", changed.pk: "audit"})

    def test_completed_ticket_stays_completed(self):
        Ticket.objects.update(num_images=1)
        self.stored()
        self.sandbox.assets.clear()

        self.audit("--fix")

        self.ticket.refresh_from_db()
        self.assertEqual((self.ticket.status, self.ticket.progress().stored), ("completed", 0))

    def test_with_nothing_to_mend_it_changes_nothing(self):
        image = self.stored()
        self.assert_agree(images=1, assets=1, options=["--fix"])

        self.assertEqual(Image.objects.get(), image)


class AwayTests(AuditTestCase):
    def test_cloudinary_that_cannot_be_asked_is_no_agreement(self):
        image = self.stored()
        for kind, parameters in (
            ("refuse", {"status": 420}),
            ("wrong_credentials", {}),
            ("null_body", {}),
            ("html_page", {}),
        ):
            with self.subTest(kind):
                fault = self.sandbox.misbehave(kind, action="admin", **parameters)
                code, lines = self.audit("--fix")
                self.sandbox.behave(fault)

                self.assertEqual(code, 1)
                self.assertIn("could not be asked", lines[-1])
                self.assertEqual(Image.objects.get().status, image.status)


class ExampleTests(AuditTestCase):
    """Pictures of kinds of tickets: at Cloudinary beside the photos, under names of their own."""

    def example(self, *, minutes_ago=60) -> ExamplePicture:
        picture = keep_example(jpeg_bytes(9))
        ExamplePicture.objects.update(created_at=timezone.now() - timedelta(minutes=minutes_ago))
        return picture

    def test_example_pictures_belong_there(self):
        self.example()

        self.assert_agree(images=0, assets=0)

    def test_asset_that_no_example_claims_is_an_orphan_and_goes(self):
        picture = self.example()
        ExamplePicture.objects.all().delete()
        self.assert_found(f"orphan   {picture.public_id}")

        self.assertEqual(self.audit("--fix")[0], 0)
        AssetRemoval.objects.update(due_at=timezone.now())
        reconcile()

        self.assertEqual(list(cloudinary.list_assets("hopla-examples/")), [])

    def test_example_whose_row_came_after_the_audit_stays(self):
        picture = self.example()
        schedule_removal(picture.public_id)

        reconcile()

        self.assertEqual(AssetRemoval.objects.count(), 0)
        self.assertEqual([asset.public_id for asset in cloudinary.list_assets("hopla-examples/")], [picture.public_id])

    def test_example_without_its_asset_is_missing_and_only_staff_can_mend_it(self):
        picture = self.example()
        cloudinary.delete(picture.public_id)

        self.assert_found(f"missing  {picture.public_id}")
        code, lines = self.audit("--fix")
        self.assertEqual((code, lines[-1]), (1, "example pictures are missing: choose others in the admin"))
