from datetime import timedelta

from django.core.management.base import BaseCommand, CommandError

from apps.tickets.storage import cloudinary
from apps.tickets.upkeep.audit import GRACE, audit_assets, mend


class Command(BaseCommand):
    help = "Compare the stored images with the assets at Cloudinary, and say where they differ (exit code 1)."

    def add_arguments(self, parser):
        parser.add_argument("--fix", action="store_true", help="remove orphans; mark images without their photo failed")
        parser.add_argument(
            "--grace",
            type=int,
            default=int(GRACE.total_seconds()),
            metavar="SECONDS",
            help="do not call an image missing that was stored more recently (default: %(default)s)",
        )

    def handle(self, *args, fix, grace, **options):
        try:
            findings = audit_assets(grace=timedelta(seconds=grace))
        except cloudinary.CloudError as error:
            raise CommandError(f"Cloudinary could not be asked: {error.detail}") from error
        self.stdout.write(f"{findings.images} stored images, {findings.assets} assets at Cloudinary")
        for public_id in findings.orphans:
            self.stdout.write(f"orphan   {public_id}: an asset that no image claims")
        for image in findings.missing:
            self.stdout.write(f"missing  {image.public_id}: image {image} is stored, its asset is not there")
        for image in findings.different:
            self.stdout.write(f"changed  {image.public_id}: image {image} was sent with {image.size} bytes")
        for picture in findings.missing_examples:
            self.stdout.write(f"missing  {picture.public_id}: an example picture, its asset is not there")
        if findings.agree:
            self.stdout.write("both sides agree")
            return
        if not fix:
            raise CommandError("the two sides differ; --fix mends it", returncode=1)
        mend(findings)
        self.stdout.write("mended: orphans go in the background, images without their photo are failed")
        if findings.missing_examples:
            raise CommandError("example pictures are missing: choose others in the admin", returncode=1)
