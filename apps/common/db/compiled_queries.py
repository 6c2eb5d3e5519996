"""ORM queries that are compiled to SQL once and run many times.

For the few queries that every upload and every poll runs: compiling one takes the ORM 0.4 ms of CPU time, running it
0.1 ms. PostgreSQL plans each of them once per connection (DATABASE_PREPARED_STATEMENTS), which halves their cost there.

Private parts of Django 5.2.19: `django.db.models.sql.compiler.SQLCompiler.apply_converters`, `.get_converters`,
`.select`, `django.db.models.sql.UpdateQuery.add_update_values`,
`django.db.backends.base.base.BaseDatabaseWrapper.make_cursor`.
"""

from collections.abc import Callable
from datetime import datetime
from functools import cache, cached_property
from operator import attrgetter, methodcaller
from uuid import UUID

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.models import AutoField, Expression, Model, QuerySet
from django.db.models.sql import UpdateQuery


class PreparingCursor(psycopg.Cursor):
    """A psycopg cursor that has the server plan a statement once and keep the plan with the connection."""

    def execute(self, query, params=None, **options):
        return super().execute(query, params, prepare=True, **options)


# What psycopg takes as it is, in fields of exactly these classes: Django's way there is several calls for each value.
TAKEN_AS_THEY_ARE = {
    models.CharField: str,
    models.TextField: str,
    models.DateTimeField: datetime,
    models.UUIDField: UUID,
}


class Parameter(Expression):
    """A placeholder in a query for a value that is given when the query runs."""

    def __init__(self, name: str, output_field):
        super().__init__(output_field=output_field)
        self.name = name

    def bound_to(self, value, database):
        """Returns this value as the database's driver takes it, one of another type than `as_they_are`."""
        if type(value) is int and self._number:
            return self._number(value)
        return self.output_field.get_db_prep_value(value, database)

    @cached_property
    def as_they_are(self) -> tuple[type, ...]:
        """The types of values that the database's driver takes as they are."""
        if connections[DEFAULT_DB_ALIAS].vendor != "postgresql":
            return ()
        kinds = (TAKEN_AS_THEY_ARE.get(type(self._column)), type(None))
        return kinds if kinds[0] or self._number else ()

    @cached_property
    def _number(self) -> type | None:
        """psycopg's type for the numbers of this column: without it, the size of each would decide on its type."""
        types = getattr(connections[DEFAULT_DB_ALIAS].ops, "integerfield_type_map", {})
        return types.get(self._column.get_internal_type().replace("AutoField", "IntegerField"))

    @property
    def _column(self):
        return getattr(self.output_field, "target_field", self.output_field)

    def as_sql(self, compiler, connection):
        return "%s", [self]


class CompiledQuery:
    """A SELECT: `build` returns a queryset with `values_list`, with a Parameter for each value that changes.

    It is called on the first run, inside a transaction if the query locks rows. Whatever the queryset evaluates while
    it is built (the time, whether a list is empty, whether a number fits its column) is fixed from then on: pass such
    values as parameters, within the range of their columns.
    """

    def __init__(self, build: Callable[[], QuerySet]):
        self._build = build

    def rows(self, **values) -> list[tuple]:
        """Returns the rows for these values, one for each Parameter by name."""
        compiler, converters = self._compiled[:2]
        rows = _run(self.compile(), values, methodcaller("fetchall"))
        return [tuple(row) for row in compiler.apply_converters(rows, converters)] if converters else rows

    def first(self, **values) -> tuple | None:
        return next(iter(self.rows(**values)), None)

    def compile(self) -> tuple[str, list]:
        """Returns the SQL and its parameters; the first call compiles them."""
        return self._compiled[2:]

    @cached_property
    def _compiled(self) -> tuple:
        compiler = self._build().query.get_compiler(DEFAULT_DB_ALIAS)
        sql, parameters = compiler.as_sql()
        converters = compiler.get_converters([selected for selected, *_ in compiler.select])
        return compiler, converters, sql, parameters


class CompiledUpdate:
    """An UPDATE: `build` returns the queryset and the changes, as a dict of the arguments of its update()."""

    def __init__(self, build: Callable[[], tuple[QuerySet, dict]]):
        self._build = build

    def run(self, **values) -> int:
        """Returns how many rows it changed with these values, one for each Parameter by name. No signal is sent."""
        return _run(self._compiled, values, attrgetter("rowcount"))

    @cached_property
    def _compiled(self) -> tuple:
        return update_sql(*self._build())


class CompiledStatement:
    """Several ORM statements combined into one: `build` returns its SQL and parameters, made from `select_sql`,
    `update_sql` and `insert_sql`.
    """

    def __init__(self, build: Callable[[], tuple[str, list]]):
        self._build = build

    def first(self, **values) -> tuple | None:
        """Returns the first row as the database returns it, with these values, one for each Parameter by name."""
        return _run(self._compiled, values, methodcaller("fetchone"))

    def first_after(self, lock: CompiledQuery, **values) -> tuple | None:
        """The same once `lock` has run, which gets its values from these, too. Both go to the server together, in one
        transaction: the statement sees what was committed before it got the lock, and holds that for no round trip.
        """
        database = connections[DEFAULT_DB_ALIAS]
        with cursor_of(database) as first, cursor_of(database) as cursor:
            with database.wrap_database_errors, database.connection.pipeline():
                for each, (sql, parameters) in ((first, lock.compile()), (cursor, self._compiled)):
                    each.execute(sql, _arguments(parameters, values, database))
            return cursor.fetchone()

    def run(self, **values) -> int:
        """Returns how many rows were written."""
        return _run(self._compiled, values, attrgetter("rowcount"))

    @cached_property
    def _compiled(self) -> tuple:
        return self._build()


def select_sql(rows: QuerySet) -> tuple[str, list]:
    sql, parameters = rows.query.get_compiler(DEFAULT_DB_ALIAS).as_sql()
    return sql, list(parameters)


def update_sql(rows: QuerySet, changes: dict) -> tuple[str, list]:
    query = rows.query.chain(UpdateQuery)
    query.add_update_values(changes)
    sql, parameters = query.get_compiler(DEFAULT_DB_ALIAS).as_sql()
    return sql, list(parameters)


def insert_sql(model: type[Model], **computed: str) -> tuple[str, list]:
    """Returns `INSERT INTO … SELECT …` for one row, to be followed by FROM or WHERE, and its parameters.

    The values are the parameters that `values_to_insert` names. `computed` gives SQL for columns that the statement
    computes itself; `%s` in it is the parameter.
    """
    quote, fields = connections[DEFAULT_DB_ALIAS].ops.quote_name, _fields_to_insert(model)
    columns = ", ".join(quote(field.column) for field in fields)
    values = {field: computed.get(field.column, "%s") for field in fields}
    names = dict(zip(fields, (name for name, _ in _parameters_of(model)), strict=True))
    parameters = [Parameter(names[field], field) for field, sql in values.items() if "%s" in sql]
    return f"INSERT INTO {quote(model._meta.db_table)} ({columns}) SELECT {', '.join(values.values())}", parameters


def values_to_insert(instance: Model) -> dict:
    """Returns the values of a new row for the parameters of `insert_sql`."""
    return {name: getattr(instance, attribute) for name, attribute in _parameters_of(type(instance))}


@cache
def _parameters_of(model: type[Model]) -> list[tuple[str, str]]:
    """Returns the names of the parameters of a new row, and of the attributes that have their values."""
    return [(f"{model._meta.model_name}.{field.column}", field.attname) for field in _fields_to_insert(model)]


def insert(instance: Model) -> None:
    """Insert a new row. No signal is sent, and a key that the database generates is not set on the instance."""
    database = connections[DEFAULT_DB_ALIAS]
    with cursor_of(database) as cursor:
        values = [
            field.get_db_prep_save(getattr(instance, field.attname), database)
            for field in _fields_to_insert(type(instance))
        ]
        cursor.execute(_insert_into(type(instance)), values)
    instance._state.adding, instance._state.db = False, DEFAULT_DB_ALIAS


def update(instance: Model, *, only_if: dict | None = None, **changes) -> bool:
    """Write these fields to the instance's row if its fields in `only_if` have those values, and set them on the
    instance. Returns whether such a row existed. No signal is sent.
    """
    database, model = connections[DEFAULT_DB_ALIAS], type(instance)
    conditions = {model._meta.pk.name: instance.pk} | (only_if or {})
    with cursor_of(database) as cursor:
        values = [
            model._meta.get_field(name).get_db_prep_save(value, database)
            for name, value in [*changes.items(), *conditions.items()]
        ]
        cursor.execute(_update_of(model, tuple(changes), tuple(conditions)), values)
        updated = cursor.rowcount == 1
    if updated:
        for name, value in changes.items():
            setattr(instance, name, value)
    return updated


@cache
def _update_of(model: type[Model], names: tuple[str, ...], conditions: tuple[str, ...]) -> str:
    quote, meta = connections[DEFAULT_DB_ALIAS].ops.quote_name, model._meta
    columns, where = ([f"{quote(meta.get_field(name).column)} = %s" for name in each] for each in (names, conditions))
    return f"UPDATE {quote(meta.db_table)} SET {', '.join(columns)} WHERE {' AND '.join(where)}"  # noqa: S608


@cache
def _fields_to_insert(model: type[Model]) -> list:
    return [field for field in model._meta.concrete_fields if not isinstance(field, AutoField)]


@cache
def _insert_into(model: type[Model]) -> str:
    quote, fields = connections[DEFAULT_DB_ALIAS].ops.quote_name, _fields_to_insert(model)
    columns, values = ", ".join(quote(field.column) for field in fields), ", ".join(["%s"] * len(fields))
    return f"INSERT INTO {quote(model._meta.db_table)} ({columns}) VALUES ({values})"  # noqa: S608 (our own names)


@cache
def columns_of(model: type[Model], path: str = "", *, without: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Returns the `values_list` arguments for a whole row, for `instance_of`. `path`: a prefix such as `user__`."""
    return tuple(path + field.attname for field in model._meta.concrete_fields if field.attname not in without)


def instance_of(model: type[Model], values: tuple, *, without: tuple[str, ...] = ()) -> Model:
    """`without`: the columns that were left out. They are read when they are asked for, with a query for each."""
    return model.from_db(DEFAULT_DB_ALIAS, columns_of(model, without=without), values)


def _run(compiled: tuple[str, list], values: dict, result: Callable):
    """Runs the statement with these values. Returns `result(cursor)`."""
    sql, parameters = compiled
    database = connections[DEFAULT_DB_ALIAS]
    arguments = _arguments(parameters, values, database)
    if not _may_bypass_django(database):
        with cursor_of(database) as cursor:
            cursor.execute(sql, arguments)
            return result(cursor)
    database.ensure_connection()
    with database.wrap_database_errors:
        return result(psycopg.Cursor(database.connection).execute(sql, arguments, prepare=True))


def _arguments(parameters: list, values: dict, database) -> list:
    return [
        parameter
        if not isinstance(parameter, Parameter)
        else value
        if type(value := values[parameter.name]) in parameter.as_they_are
        else parameter.bound_to(value, database)
        for parameter in parameters
    ]


def cursor_of(database):
    """Returns a cursor; on PostgreSQL one that prepares its statements, unless `prepare_threshold` disables that.

    Where queries are logged, for DEBUG or a test, it is Django's own, which records them.
    """
    if database.vendor != "postgresql" or database.queries_logged:
        return database.cursor()
    database.ensure_connection()
    return database.make_cursor(PreparingCursor(database.connection))


def _may_bypass_django(database) -> bool:
    """Whether Django's own cursor would add nothing: it costs half as much as the statement."""
    return not (
        database.vendor != "postgresql"
        or database.queries_logged
        or database.execute_wrappers
        or database.needs_rollback  # Django says what is the matter
    )
