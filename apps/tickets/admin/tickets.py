"""Tickets for staff, who alone may change, cancel and delete them.

What they do is in Django's history of each page, and each move that follows in the log of transitions, under their
name.
"""

from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Count, Q, Sum
from django.db.models.functions import Coalesce
from django.http import HttpResponseRedirect
from django.template.defaultfilters import filesizeformat
from django.utils.html import format_html, format_html_join
from django.utils.safestring import mark_safe
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from apps.common.admin.lists import (
    FirstDayFilter,
    LargeAdmin,
    LargeChangeList,
    LastDayFilter,
    OwnerFilter,
    TypedFilter,
    users_called,
)
from apps.tickets.admin.handover import HandoverAdmin
from apps.tickets.admin.parts import ActingStaff, StatusBadge, badge_of, newest_moves, number_in, the_first, thumbnail
from apps.tickets.admin.review import ReviewAdmin, ReviewFilter
from apps.tickets.lifecycle.endings import cancel_ticket
from apps.tickets.models import Image, Ticket, progress_of, slots_now
from apps.tickets.models.statuses import WITH_AN_ASSET, ImageStatus
from apps.tickets.models.transition import Transition
from apps.tickets.upkeep.staff_actions import (
    ActionNotAllowed,
    extend_expiry,
    require_extendable,
    try_failed_again,
)

PHOTOS_SHOWN = 500


class ReferenceFilter(TypedFilter):
    title = _("reference")
    parameter_name = "reference_is"

    def queryset(self, request, queryset):
        return queryset.filter(reference=self.value()) if self.value() else queryset


class FailuresFilter(admin.SimpleListFilter):
    title = _("failures")
    parameter_name = "failures"

    def lookups(self, request, model_admin):
        return [("yes", _("has failed photos"))]

    def queryset(self, request, queryset):
        if self.value() != "yes":
            return queryset
        return queryset.filter(pk__in=Image.objects.filter(status=ImageStatus.FAILED).values("ticket_id"))


class TicketChangeList(LargeChangeList):
    def get_queryset(self, *args, **kwargs):
        return super().get_queryset(*args, **kwargs).defer("slots")  # which may be long

    def get_results(self, request):
        super().get_results(request)
        self.result_list = list(self.result_list)
        progress = progress_of(self.result_list)
        for ticket in self.result_list:
            ticket.counted = progress[ticket.pk]


class TicketForm(forms.ModelForm):
    class Meta:
        widgets = {"description": forms.Textarea(attrs={"rows": 3})}

    def clean_expires_at(self):
        expires_at = self.cleaned_data["expires_at"]
        if "expires_at" in self.changed_data:
            try:
                require_extendable(self.instance, expires_at=expires_at)
            except ActionNotAllowed as refusal:
                raise forms.ValidationError(str(refusal)) from refusal
        return expires_at


@admin.register(Ticket)
class TicketAdmin(StatusBadge, ActingStaff, HandoverAdmin, ReviewAdmin, LargeAdmin):
    list_display = ("id", "title", "owned_by", "state", "bar", "reviewed", "created_at", "completed_at")
    list_filter = (
        "status",
        ReviewFilter,
        FailuresFilter,
        OwnerFilter,
        ReferenceFilter,
        FirstDayFilter,
        LastDayFilter,
    )
    list_select_related = ("owner",)
    ordering = ("-created_at", "-id")
    sortable_by = ("created_at",)
    search_fields = ("=id",)  # and what get_search_results does
    search_help_text = _(
        "A ticket's number or reference; a username or e-mail address, and after it words of the title."
    )
    date_hierarchy = "created_at"
    fields = (
        *("title", "description", "kind", "instructions", "owner"),
        ("reference", "own_data"),
        *("state", "bar", "reviewed", "expires_at", "created_at", "updated_at", "completed_at"),
    )
    readonly_fields = (
        *("kind", "instructions", "owner", "reference", "own_data"),
        *("state", "bar", "reviewed", "created_at", "updated_at", "completed_at"),
    )
    actions = ["try_failed_photos_again", "cancel", "download_photos"]
    change_form_template = "admin/ticket.html"

    def get_changelist(self, request, **kwargs):
        return TicketChangeList

    def has_add_permission(self, request):
        return False  # tickets are opened by their owners, through the API

    @admin.display(description=_("owner"), ordering=None)
    def owned_by(self, ticket):
        query = urlencode({OwnerFilter.parameter_name: ticket.owner.get_username()})
        return format_html('<a href="?{}">{}</a>', query, ticket.owner)

    @admin.display(description=_("metadata"))
    def own_data(self, ticket):
        lines = format_html_join(mark_safe("<br>"), "{}: {}", ticket.metadata.items())
        return lines or "-"

    @admin.display(description=_("photos"))
    def bar(self, ticket):
        progress = getattr(ticket, "counted", None) or ticket.progress()
        told = gettext("%(stored)d of %(declared)d") % {"stored": progress.stored, "declared": progress.declared}
        more = [
            gettext("%(number)d on their way") % {"number": progress.unsettled} if progress.unsettled else "",
            gettext("%(number)d failed") % {"number": progress.failed} if progress.failed else "",
            gettext("%(number)d rejected") % {"number": progress.rejected} if progress.rejected else "",
        ]
        return format_html(
            '<progress class="progress{}" max="{}" value="{}" aria-label="{}"></progress> {}{}',
            " progress-full" if progress.stored >= progress.declared else "",
            str(progress.declared),
            str(progress.stored),
            told,
            told,
            "".join(f", {part}" for part in more if part),
        )

    # --- Finding ---

    def get_search_results(self, request, queryset, search_term):
        """Finds tickets by number or reference; else by owner (and words among theirs); else by words of title and
        description.
        """
        first, *words = search_term.split() or [""]
        if not first:
            return queryset, False
        if not words and (number := number_in(first)) is not None:
            return queryset.filter(Q(pk=number) | Q(reference=first)), False
        referred = queryset.filter(reference=search_term.strip())
        if referred.exists():
            return referred, False
        if owners := list(users_called(first)):
            queryset = queryset.filter(owner__in=owners)
        else:
            words = [first, *words]
        for word in words:
            queryset = queryset.mentioning(word)
        return queryset, False

    # --- One ticket ---

    def get_form(self, request, obj=None, **kwargs):
        return super().get_form(request, obj, form=TicketForm, **kwargs)

    def change_view(self, request, object_id, form_url="", extra_context=None):
        try:
            return super().change_view(request, object_id, form_url, self.seen(object_id) | (extra_context or {}))
        except ActionNotAllowed as refusal:  # the ticket ended after the form was found to be right; nothing was saved
            self.message_user(request, str(refusal), messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    @staticmethod
    def seen(ticket_id: str) -> dict:
        """Returns the ticket's photos and moves, for its page."""
        if not ticket_id.isdecimal():
            return {}
        of_ticket = Image.objects.filter(ticket_id=ticket_id)
        ticket = Ticket.objects.filter(pk=ticket_id).first()
        photos, photos_are_cut = the_first(PHOTOS_SHOWN, of_ticket.order_by("position", "created_at"))
        began = dict(Transition.objects.first_attempts(ticket_id))
        for photo in photos:
            photo.ticket = ticket
            photo.thumbnail = thumbnail(photo)
            photo.state = badge_of(photo)
            photo.began_after = in_short(began.get(photo.pk), since=photo.created_at)
            photo.stored_after = in_short(photo.stored_at, since=photo.created_at)
        on_places = of_ticket.holding_a_place().values_list("position", "status", "pk")
        return newest_moves(ticket_id=ticket_id) | {
            "slots": slots_now(ticket.slots, on_places) if ticket and ticket.slots else [],
            "photos": photos,
            "photos_are_cut": photos_are_cut,
            "has_failed_photos": of_ticket.filter(status=ImageStatus.FAILED).exists(),
        }

    def save_model(self, request, obj, form, change):
        """Save through the domain, which raises the version that makes the ETag, so that readers see the change."""
        changed = {name: form.cleaned_data[name] for name in form.changed_data}
        with transaction.atomic():
            if "expires_at" in changed:
                extend_expiry(obj.pk, expires_at=changed.pop("expires_at"))
            if changed:
                Ticket.objects.lock(obj.pk).touch(**changed)

    # --- Actions ---

    @admin.action(description=_("Try the failed photos again"), permissions=["change"])
    def try_failed_photos_again(self, request, queryset):
        number, refusals = 0, []
        for ticket in queryset:
            tried, reasons = try_failed_again(ticket.pk)
            number += tried
            refusals += reasons
            if tried:
                self.log_change(request, ticket, gettext("Tried %(number)d failed photos again.") % {"number": tried})
        self.tell_tried_again(request, number, refusals)

    @admin.action(description=_("Cancel the selected tickets"), permissions=["change"])
    def cancel(self, request, queryset):
        cancelled = [ticket for ticket in queryset if cancel_ticket(ticket.pk)]
        for ticket in cancelled:
            self.log_change(request, ticket, gettext("Cancelled."))
        message = ngettext("%(number)d ticket was cancelled.", "%(number)d tickets were cancelled.", len(cancelled))
        self.message_user(request, message % {"number": len(cancelled)}, messages.SUCCESS)

    def get_deleted_objects(self, objs, request):
        """Returns what would be deleted, in numbers: Django would list every photo."""
        lost = Image.objects.filter(ticket__in=[ticket.pk for ticket in objs]).aggregate(
            photos=Count("pk"),
            assets=Count("pk", filter=Q(status__in=WITH_AN_ASSET)),
            size=Coalesce(Sum("size", filter=Q(status__in=WITH_AN_ASSET)), 0),
        )
        told = ngettext(
            "%(photos)d photo, %(assets)d stored at Cloudinary (%(size)s) and deleted there, too",
            "%(photos)d photos, %(assets)d stored at Cloudinary (%(size)s) and deleted there, too",
            lost["photos"],
        )
        listed = [f"{ticket._meta.verbose_name} {ticket.pk}: {ticket}" for ticket in objs]
        listed.append(told % {**lost, "size": filesizeformat(lost["size"])})
        missing = set() if self.has_delete_permission(request) else {self.opts.verbose_name}
        counts = {self.opts.verbose_name_plural: len(objs), Image._meta.verbose_name_plural: lost["photos"]}
        return listed, counts, missing, []


def in_short(moment, *, since) -> str:
    """Returns how much later it was: `0.4 s`, `2 min 5 s`, `3 h 0 min`; "" when it has not come."""
    if moment is None:
        return ""
    seconds = (moment - since).total_seconds()
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = int(seconds) // 60
    return f"{minutes} min {int(seconds) % 60} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
