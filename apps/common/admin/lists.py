"""Admin lists that stay fast on tables with millions of rows: nothing here counts or scans a whole table.

Django's own count every row twice, and scan them all for the years that have rows.
"""

from calendar import monthrange
from datetime import date, datetime, time, timedelta

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth import get_user_model
from django.core.paginator import Paginator
from django.db.models import Max, Min, Q
from django.utils import formats, timezone
from django.utils.functional import cached_property
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

COUNT_LIMIT = 2000  # rows that a list shows; to find one beyond them, filter


class BoundedPaginator(Paginator):
    """Counts up to COUNT_LIMIT and no further; `is_bounded` is True if there are more."""

    @cached_property
    def _counted(self) -> int:
        return self.object_list.order_by()[: COUNT_LIMIT + 1].count()

    @property
    def count(self) -> int:
        return min(self._counted, COUNT_LIMIT)

    @property
    def is_bounded(self) -> bool:
        return self._counted > COUNT_LIMIT


class LargeChangeList(ChangeList):
    def date_choices(self) -> dict:
        """Returns the context of admin/date_hierarchy.html; it links every day of a month, with rows or not."""
        year, month, day = (self._chosen(part) for part in ("year", "month", "day"))
        if day and month and year:
            chosen = self._date_link(date(year, month, day), "MONTH_DAY_FORMAT", year=year, month=month, day=day)
            back = self._date_link(date(year, month, 1), "YEAR_MONTH_FORMAT", year=year, month=month)
            return {"show": True, "back": back, "choices": [{"title": chosen["title"]}]}
        if month and year:
            days = (date(year, month, number) for number in range(1, monthrange(year, month)[1] + 1))
            choices = [self._date_link(each, "MONTH_DAY_FORMAT", year=year, month=month, day=each.day) for each in days]
            return {"show": True, "back": self._date_link(str(year), year=year), "choices": choices}
        if year:
            months = (date(year, number, 1) for number in range(1, 13))
            choices = [self._date_link(each, "YEAR_MONTH_FORMAT", year=year, month=each.month) for each in months]
            return {"show": True, "back": self._date_link(_("All dates")), "choices": choices}
        return {"show": True, "choices": [self._date_link(str(number), year=number) for number in self._years()]}

    def _date_link(self, title, date_format: str = "", **parts) -> dict:
        """Returns the link to the rows of that year, month or day. `title`: a text, or a date for that format."""
        names = {f"{self.date_hierarchy}__{part}": parts.get(part) for part in ("year", "month", "day")}
        text = capfirst(formats.date_format(title, date_format)) if date_format else title
        return {"title": text, "link": self.get_query_string(names)}

    def _years(self) -> range:
        """Returns the years from the first row's to the last's, both found by the index."""
        ends = self.model._default_manager.aggregate(first=Min(self.date_hierarchy), last=Max(self.date_hierarchy))
        if ends["first"] is None:
            return range(0)
        return range(timezone.localtime(ends["first"]).year, timezone.localtime(ends["last"]).year + 1)

    def _chosen(self, part: str) -> int | None:
        value = self.params.get(f"{self.date_hierarchy}__{part}", "")
        return int(value) if value else None


class LargeAdmin(admin.ModelAdmin):
    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # each facet would count the table once more
    change_list_template = "admin/large_change_list.html"

    def get_changelist(self, request, **kwargs):
        return LargeChangeList

    def response_action(self, request, queryset):
        """Refuse Django's `Select all` beyond COUNT_LIMIT: it means every matching row, while the list counts only that
        many, and staff must not cancel or delete more than the list shows.
        """
        all_of_them = any(map(forms.BooleanField().to_python, request.POST.getlist("select_across")))
        if all_of_them and self.get_paginator(request, queryset, self.list_per_page).is_bounded:
            warning = gettext("More than %(number)d match, so nothing was done. Filter or search, then select them.")
            self.message_user(request, warning % {"number": COUNT_LIMIT}, messages.WARNING)
            return None
        return super().response_action(request, queryset)


class TypedFilter(admin.SimpleListFilter):
    """A filter with a text input: `input_type` is the type of the HTML input."""

    template = "admin/typed_filter.html"
    input_type = "text"

    def lookups(self, request, model_admin):
        return [("", "")]

    def choices(self, changelist):
        kept = {
            name: values[-1] if isinstance(values, list) else values
            for name, values in changelist.filter_params.items()
            if name not in (self.parameter_name, "p")
        }
        yield {
            "value": self.value() or "",
            "kept": kept,
            "clear": changelist.get_query_string(remove=[self.parameter_name]),
        }


class OwnerFilter(TypedFilter):
    title = _("owner's username or e-mail")
    parameter_name = "owner_is"

    def queryset(self, request, queryset):
        typed = self.value()
        return queryset.filter(owner__in=list(users_called(typed))) if typed else queryset


def users_called(name: str):
    """Returns the ids of the users with this username or e-mail address, in any case."""
    users = get_user_model().objects.filter(Q(username__iexact=name) | Q(email__iexact=name))
    return users.values_list("pk", flat=True)[:10]


class DateFilter(TypedFilter):
    """Keeps rows whose `field` is on this day or later, or with `is_last` on this day or earlier."""

    input_type = "date"
    field: str
    is_last = False

    def queryset(self, request, queryset):
        if not self.value():
            return queryset
        try:
            day = date.fromisoformat(self.value())
        except ValueError:
            return queryset.none()
        # Compares moments, not days, because the index holds moments.
        begins = timezone.make_aware(datetime.combine(day + timedelta(days=self.is_last), time.min))
        return queryset.filter(**{f"{self.field}__{'lt' if self.is_last else 'gte'}": begins})


class FirstDayFilter(DateFilter):
    title = _("first day")
    parameter_name = "first_day"
    field = "created_at"


class LastDayFilter(DateFilter):
    title = _("last day")
    parameter_name = "last_day"
    field, is_last = "created_at", True
