"""Several rows as one value, so that a statement that counts them can also say what they are."""

from django.db.models import Aggregate, JSONField
from django.db.models.functions import JSONArray


class JsonRows(Aggregate):
    """A list for each row, of these columns, in no order. None, or an empty list, where there are no rows."""

    function = "JSONB_AGG"
    output_field = JSONField()

    def __init__(self, *columns, **options):
        super().__init__(JSONArray(*columns), **options)

    def as_sqlite(self, compiler, connection, **context):
        return self.as_sql(compiler, connection, function="JSON_GROUP_ARRAY", **context)
