"""What the admin's pages of tickets, photos and transitions have in common: mixins, searches, columns, moves."""

import uuid
from contextlib import contextmanager

from django.contrib import admin, messages
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from apps.common.admin.badge import badge
from apps.common.admin.lists import TypedFilter
from apps.tickets.models import Image
from apps.tickets.models.transition import Transition, acting_as
from apps.tickets.storage import cloudinary

TRANSITIONS_SHOWN = 500


class ReadOnly:
    """Mixed into admins of what only the pipeline changes."""

    def has_add_permission(self, request, obj=None):
        return False

    def has_change_permission(self, request, obj=None):
        return False


class ActingStaff:
    """Mixed into admins: the log of transitions names the user of a page for what the page does."""

    def changelist_view(self, request, *args, **kwargs):
        with acting_as_staff(request.user):
            return super().changelist_view(request, *args, **kwargs)

    def changeform_view(self, request, *args, **kwargs):
        with acting_as_staff(request.user):
            return super().changeform_view(request, *args, **kwargs)

    def delete_view(self, request, *args, **kwargs):
        with acting_as_staff(request.user):
            return super().delete_view(request, *args, **kwargs)

    def tell_tried_again(self, request, number: int, refusals: list[str]) -> None:
        """Tell the user how many photos are tried again, and for each reason how many are not."""
        if number or not refusals:
            done = ngettext("%(number)d photo is tried again.", "%(number)d photos are tried again.", number)
            self.message_user(request, done % {"number": number}, messages.SUCCESS)
        for reason in sorted(set(refusals)):
            told = ngettext(
                "%(number)d photo cannot be tried again: %(reason)s",
                "%(number)d photos cannot be tried again: %(reason)s",
                refusals.count(reason),
            )
            self.message_user(request, told % {"number": refusals.count(reason), "reason": reason}, messages.WARNING)


@contextmanager
def acting_as_staff(user):
    with acting_as(f"staff {user.pk} ({user.get_username()})"):
        yield


class StatusBadge:
    """Mixed into admins of what has a status."""

    @admin.display(description=_("status"))
    def state(self, row):
        return badge_of(row)


class TicketNumberFilter(TypedFilter):
    """Keeps the rows of one ticket, by its number in `field`."""

    title = _("ticket number")
    parameter_name = "ticket_is"
    field = "ticket_id"

    def queryset(self, request, queryset):
        typed = self.value()
        return queryset.filter(**{self.field: number_in(typed) or 0}) if typed else queryset


class SearchByTicketOrPhoto:
    """Mixed into admins: the search takes a ticket's number, or a photo's id."""

    search_help_text = _("The number of a ticket, or the id of a photo.")

    def get_search_results(self, request, queryset, search_term):
        term = search_term.strip()
        if not term:
            return queryset, False
        if (number := number_in(term)) is not None:
            return queryset.filter(ticket_id=number), False
        if (image_id := uuid_in(term)) is not None:
            return self.of_photo(queryset, image_id), False
        return queryset.none(), False

    def of_photo(self, queryset, image_id: uuid.UUID):
        """Returns the rows of this photo."""
        raise NotImplementedError


def number_in(typed: str) -> int | None:
    """Returns the ticket's number, if it is one. Django's `=id` compares it as text, which no index holds."""
    return int(typed) if typed.isdecimal() and typed.isascii() and len(typed) < 19 else None


def uuid_in(typed: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(typed)
    except ValueError:
        return None


def badge_of(row) -> str:
    return badge(row.status, row.get_status_display())


def thumbnail(image: Image) -> str:
    """Returns a small picture of a stored photo; "" for others."""
    if not image.has_an_asset:
        return ""
    url = cloudinary.thumbnail_url(public_id=image.public_id, version=image.asset_version)
    return format_html('<img class="thumbnail" loading="lazy" src="{}" alt="">', url)


def newest_moves(**of) -> dict:
    """Returns the newest transitions of a ticket or photo, as admin/transitions.html takes them."""
    moves, are_cut = the_first(TRANSITIONS_SHOWN, Transition.objects.filter(**of).order_by("-id"))
    return {"transitions": moves, "transitions_are_cut": are_cut}


def the_first(number: int, queryset) -> tuple[list, bool]:
    """Returns at most `number` rows, and whether there are more."""
    rows = list(queryset[: number + 1])
    return rows[:number], len(rows) > number
