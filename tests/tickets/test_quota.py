"""How many bytes one user may upload a day."""

from django.test import override_settings

from apps.tickets import staging
from apps.tickets.models import Image
from tests.makers import client_for, jpeg_bytes, make_ticket, make_user
from tests.tickets.test_intake import PHOTO, IntakeTestCase

PHOTO_OF_1000 = jpeg_bytes(1, size=1000)
A_DAY_SECONDS = 24 * 60 * 60


@override_settings(UPLOAD_BYTES_PER_DAY=2500)
class QuotaTests(IntakeTestCase):
    def setUp(self):
        super().setUp()
        self.ticket.num_images = 9
        self.ticket.save()

    def post(self, content=PHOTO_OF_1000, **options):
        return self.post_bare(content, **options)

    def assert_over_quota(self, response, *, images: int) -> None:
        self.assert_problem(response, 429, "upload_quota_exceeded")
        self.assertIn(int(response["Retry-After"]), range(1, A_DAY_SECONDS + 1))
        self.assertEqual(Image.objects.count(), images)
        self.assertEqual(staging.bytes_in_use(), 1000 * images)

    def test_photos_are_taken_until_the_days_bytes_are_used_up(self):
        self.assertEqual([self.post().status_code for _ in range(2)], [202, 202])

        self.assert_over_quota(self.post(), images=2)

    @override_settings(UPLOAD_BYTES_PER_DAY=2000 + len(PHOTO))
    def test_photo_that_fits_to_the_last_byte_is_taken(self):
        for content in (PHOTO_OF_1000, PHOTO_OF_1000, PHOTO):
            self.assertEqual(self.post(content).status_code, 202)

        self.assert_problem(self.post(PHOTO), 429, "upload_quota_exceeded")

    def test_form_counts_too(self):
        self.assertEqual([self.post_form(PHOTO_OF_1000).status_code for _ in range(2)], [202, 202])

        self.assert_over_quota(self.post_form(PHOTO_OF_1000), images=2)

    def test_tickets_of_one_user_count_together_and_other_users_apart(self):
        for _ in range(2):
            self.post()
        self.assert_over_quota(self.post(url=self.url_of(make_ticket(self.owner))), images=2)

        other = make_user()
        answer = self.post(url=self.url_of(make_ticket(other)), client=client_for(other))
        self.assertEqual(answer.status_code, 202)

    def test_refused_photos_use_up_nothing(self):
        for _ in range(5):
            self.assertEqual(self.post(b"no photo at all." * 60).status_code, 415)

        self.assertEqual([self.post().status_code for _ in range(2)], [202, 202])

    def test_replayed_photo_uses_up_nothing(self):
        for _ in range(5):
            self.assertEqual(self.post(HTTP_IDEMPOTENCY_KEY="a").status_code, 202)

        self.assertEqual(self.post().status_code, 202)
        self.assert_over_quota(self.post(), images=2)

    @override_settings(UPLOAD_BYTES_PER_DAY=0)
    def test_zero_is_no_limit(self):
        self.assertEqual({self.post().status_code for _ in range(9)}, {202})
