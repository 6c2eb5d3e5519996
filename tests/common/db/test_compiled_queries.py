import uuid
from datetime import timedelta
from unittest import skipUnless

from django.db import DataError, IntegrityError, connection, transaction
from django.db.models import BigIntegerField, CharField, DateTimeField, F, IntegerField
from django.test import TestCase
from django.utils import timezone

from apps.common.db.compiled_queries import (
    CompiledQuery,
    CompiledStatement,
    CompiledUpdate,
    Parameter,
    columns_of,
    insert,
    instance_of,
    update,
)
from apps.tickets.models import Image
from apps.tickets.models.statuses import ImageStatus
from tests.makers import make_image, make_ticket


class CompiledQueryTests(TestCase):
    def setUp(self):
        self.images = [make_image(make_ticket(), filename=name) for name in ("a", "b")]

    def test_it_is_compiled_once_and_asked_with_other_values(self):
        built = []
        query = CompiledQuery(
            lambda: built.append(1) or Image.objects.filter(filename=Parameter("name", CharField())).values_list("pk")
        )

        rows = [query.rows(name=name) for name in ("a", "b", "c")]

        self.assertEqual(rows, [[(self.images[0].pk,)], [(self.images[1].pk,)], []])
        self.assertEqual(built, [1])

    def test_first_row_or_none(self):
        query = CompiledQuery(lambda: Image.objects.filter(size=Parameter("size", BigIntegerField())).values_list("pk"))

        self.assertIn(query.first(size=self.images[0].size), [(image.pk,) for image in self.images])
        self.assertIsNone(query.first(size=1))

    def test_row_makes_the_instance_that_the_orm_makes(self):
        image = Image.objects.get(pk=self.images[0].pk)
        query = CompiledQuery(
            lambda: Image.objects.filter(pk=Parameter("id", Image._meta.pk)).values_list(*columns_of(Image))
        )

        made = instance_of(Image, query.first(id=image.pk))

        self.assertEqual({**vars(made), "_state": 0}, {**vars(image), "_state": 0})
        self.assertFalse(made._state.adding)
        with self.assertNumQueries(0):
            self.assertEqual(made.filename, "a")

    def test_inserted_row_is_the_one_that_the_orm_would_write(self):
        by_orm = make_image(make_ticket(), next_retry_at=timezone.now(), duplicate_of=self.images[0])
        copy = Image.objects.get(pk=by_orm.pk)
        copy.pk, copy.position = uuid.uuid4(), 2

        with self.assertNumQueries(1):
            insert(copy)

        self.assertFalse(copy._state.adding)
        written = vars(Image.objects.get(pk=copy.pk))
        expected = vars(Image.objects.get(pk=by_orm.pk)) | {"id": copy.pk, "position": 2}
        self.assertEqual({**written, "_state": 0}, {**expected, "_state": 0})

    def test_update_writes_the_named_fields_alone(self):
        image, other = self.images
        image.filename = "not to be written"
        moment = timezone.now()

        with self.assertNumQueries(1):
            update(image, attempts=3, next_retry_at=moment)

        self.assertEqual((image.attempts, image.next_retry_at), (3, moment))
        written = Image.objects.get(pk=image.pk)
        self.assertEqual((written.attempts, written.next_retry_at, written.filename), (3, moment, "a"))
        self.assertEqual(Image.objects.get(pk=other.pk).attempts, 0)

    def test_compiled_update_writes_the_rows_it_is_about(self):
        image, other = self.images
        moment = timezone.now()

        def build():
            named = Image.objects.filter(filename=Parameter("name", CharField()))
            return named, {"attempts": F("attempts") + 1, "next_retry_at": Parameter("moment", DateTimeField())}

        raise_attempts = CompiledUpdate(build)

        with self.assertNumQueries(3):
            numbers = [raise_attempts.run(name=name, moment=moment) for name in ("a", "a", "c")]

        self.assertEqual(numbers, [1, 1, 0])
        for each in self.images:
            each.refresh_from_db()
        self.assertEqual((image.attempts, image.next_retry_at), (2, moment))
        self.assertEqual((other.attempts, other.next_retry_at), (0, None))

    @skipUnless(connection.vendor == "postgresql", "needs PostgreSQL")
    def test_server_keeps_the_plan(self):
        query = CompiledQuery(lambda: Image.objects.filter(size=Parameter("size", BigIntegerField())).values_list("pk"))

        for size in (1, 70_000, 2**40):
            query.rows(size=size)

        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE %s", ['%."size" = ($1)%'])
            self.assertEqual(cursor.fetchone(), (1,))

    def test_values_that_are_only_like_those_of_a_column_are_taken_too(self):
        by_status = CompiledQuery(
            lambda: Image.objects.filter(status=Parameter("status", CharField())).values_list("pk")
        )
        by_id = CompiledQuery(lambda: Image.objects.filter(pk=Parameter("id", Image._meta.pk)).values_list("pk"))
        image = self.images[0]

        self.assertEqual(len(by_status.rows(status=ImageStatus.QUEUED)), 2)
        self.assertEqual(by_id.rows(id=str(image.pk)), by_id.rows(id=image.pk))

    def test_errors_are_those_of_django(self):
        query = CompiledQuery(lambda: Image.objects.filter(filename=Parameter("name", CharField())).values_list("pk"))
        query.compile()

        with transaction.atomic():
            transaction.set_rollback(True)
            with self.assertRaises(transaction.TransactionManagementError):
                query.rows(name="a")
        with self.assertRaises(IntegrityError), transaction.atomic():
            insert(Image.objects.get(pk=self.images[0].pk))

    @skipUnless(connection.vendor == "postgresql", "needs PostgreSQL")
    def test_errors_of_the_server_are_those_of_django(self):
        divide = CompiledStatement(lambda: ("SELECT 1 / %s", [Parameter("by", IntegerField())]))

        with self.assertRaises(DataError), transaction.atomic():
            divide.first(by=0)

    def test_times_are_compared_as_times(self):
        query = CompiledQuery(
            lambda: Image.objects.filter(created_at__gt=Parameter("moment", DateTimeField())).values_list("pk")
        )

        self.assertEqual(len(query.rows(moment=timezone.now() - timedelta(hours=1))), 2)
        self.assertEqual(query.rows(moment=timezone.now() + timedelta(hours=1)), [])

    def test_guarded_update_changes_a_row_that_is_as_expected_and_no_other(self):
        image = make_image(make_ticket(), status="uploading", attempts=2)

        def codes():
            return image.error_code, Image.objects.get(pk=image.pk).error_code

        self.assertFalse(update(image, only_if={"status": "uploading", "attempts": 1}, error_code="x"))
        self.assertEqual(codes(), ("", ""))

        self.assertTrue(update(image, only_if={"status": "uploading", "attempts": 2}, error_code="x"))
        self.assertEqual(codes(), ("x", "x"))
