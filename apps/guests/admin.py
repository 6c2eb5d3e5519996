"""Guest links in the admin: staff make one for a ticket, show it with its QR code, mail it, revoke it, and see whether
it was opened and how many photos came by it. No list and no page shows a link unless it is asked for.
"""

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.shortcuts import redirect
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import mark_safe
from django.utils.translation import get_language, gettext, ngettext
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import APIException

from apps.common.admin.badge import badge
from apps.common.admin.emails import OutgoingEmailAdmin
from apps.common.admin.issued import IssuedAdmin
from apps.common.admin.shown_once import shown_once
from apps.common.encryption import SecretUnreadableError
from apps.common.mail.addresses import one_form
from apps.guests.emails import invite, outbox
from apps.guests.links import make_link, qr_svg, revoke, token_of, url_of
from apps.guests.models import MAX_REMINDERS, GuestEmail, GuestLink, LinkState
from apps.tickets.admin.parts import TicketNumberFilter
from apps.tickets.intake.places import require_open

HOUR = 60 * 60
DAY = 24 * HOUR
EXPIRIES = [
    (HOUR, _("one hour")),
    (DAY, _("one day")),
    (7 * DAY, _("one week")),
    (30 * DAY, _("30 days")),
    (365 * DAY, _("one year")),
]
REMINDERS = [(2 * HOUR, _("two hours before")), (DAY, _("one day before")), (3 * DAY, _("three days before"))]


class NewLinkForm(forms.ModelForm):
    expires_in_seconds = forms.TypedChoiceField(
        label=_("it may be used for"), choices=EXPIRIES, coerce=int, initial=7 * DAY
    )
    remind_before_seconds = forms.TypedMultipleChoiceField(
        label=_("reminders by e-mail"),
        choices=REMINDERS,
        coerce=int,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Before it expires, if photos are missing then."),
    )

    class Meta:
        model = GuestLink
        fields = ("ticket", "name", "email", "language")

    def clean_ticket(self):
        ticket = self.cleaned_data["ticket"]
        try:
            require_open(ticket)
        except APIException as refusal:
            raise forms.ValidationError(str(refusal.detail)) from refusal
        return ticket

    def clean_email(self):
        return one_form(self.cleaned_data["email"])

    def clean_remind_before_seconds(self):
        return self.cleaned_data["remind_before_seconds"][:MAX_REMINDERS]


class EmailsInline(admin.TabularInline):
    model = GuestEmail
    extra = 0
    can_delete = False
    verbose_name_plural = _("e-mails")
    fields = readonly_fields = ("created_at", "kind", "to", "state", "due_at", "sent_at", "error")
    ordering = ("id",)

    def has_add_permission(self, request, obj=None):
        return False

    def has_change_permission(self, request, obj=None):
        return False


@admin.register(GuestLink)
class GuestLinkAdmin(IssuedAdmin):
    list_display = (
        *("id", "of_ticket", "name", "email", "state_badge", "photos"),
        *("opened_at", "last_used_at", "expires_at", "created_at", "created_by"),
    )
    list_filter = (TicketNumberFilter,)
    list_select_related = ("ticket__owner", "created_by")
    ordering = ("-created_at", "-id")
    sortable_by = ()
    search_fields = ("name", "email")
    raw_id_fields = ("ticket",)
    new_form = NewLinkForm
    new_fields = ("ticket", "name", "email", "language", "expires_in_seconds", "remind_before_seconds")
    fields = readonly_fields = (
        *("of_ticket", "name", "email", "language", "wants_emails", "state_badge", "photos"),
        *("opened_at", "last_used_at", "expires_at", "revoked_at", "created_at", "created_by"),
    )
    actions = ["mail", "revoke"]
    change_form_template = "admin/guest_link.html"

    # --- What is shown ---

    def get_queryset(self, request):
        return super().get_queryset(request).with_photos().defer("token_digest", "token_encrypted")

    @admin.display(description=_("ticket"))
    def of_ticket(self, link):
        url = reverse("admin:tickets_ticket_change", args=[link.ticket_id])
        return format_html('<a href="{}">{}: {}</a>', url, str(link.ticket_id), link.ticket)

    @admin.display(description=_("state"))
    def state_badge(self, link):
        return badge(link.state, link.get_state_display())

    @admin.display(description=_("photos"))
    def photos(self, link):
        return link.photos

    def get_inlines(self, request, obj):
        return [EmailsInline] if obj else []

    # --- Making one ---

    def get_changeform_initial_data(self, request):
        return {"language": get_language()} | super().get_changeform_initial_data(request)

    def save_model(self, request, obj, form, change):
        """Make it as the API does, with its e-mails."""
        link = make_link(created_by=request.user, **form.cleaned_data)
        obj.pk = link.pk
        obj.refresh_from_db()

    def response_add(self, request, obj, post_url_continue=None):
        """Go to the page of the link, where it is shown and mailed."""
        return super().response_add(request, obj, reverse("admin:guests_guestlink_change", args=[obj.pk]))

    def _response_post_save(self, request, obj):
        return redirect("admin:guests_guestlink_change", obj.pk)

    # --- What is done with one ---

    def get_urls(self):
        shown = self.admin_site.admin_view(self.show)
        return [path("<int:link_id>/link/", shown, name="guests_guestlink_show"), *super().get_urls()]

    def show(self, request, link_id):
        """The page with the link itself, for a POST alone: so it is in no history of a browser."""
        if not self.has_use_permission(request):
            raise PermissionDenied
        link = self.get_object(request, str(link_id))
        if link is None:
            raise Http404
        if request.method != "POST":
            return redirect("admin:guests_guestlink_change", link_id)
        try:
            url = url_of(token_of(link), request)
        except SecretUnreadableError:
            told = gettext("This link cannot be read: the key that encrypted it is not among ENCRYPTION_KEYS.")
            self.message_user(request, told, messages.ERROR)
            return redirect("admin:guests_guestlink_change", link_id)
        self.log_change(request, link, gettext("Link shown."))
        qr = mark_safe(qr_svg(url))  # noqa: S308  made here, of hopla's own URL
        shown = {"title": gettext("Guest link"), "secret": url, "qr": qr}
        return shown_once(self, request, link, template="admin/guest_link_shown.html", **shown)

    @admin.action(description=_("Mail the selected links"), permissions=["use"])
    def mail(self, request, queryset):
        mailed = [
            link
            for link in queryset.select_related("ticket__owner")
            if link.email and link.wants_emails and link.state == LinkState.OPEN
        ]
        for link in mailed:
            invite(link)
            self.log_change(request, link, gettext("Mailed."))
        told = ngettext("%(number)d link is mailed.", "%(number)d links are mailed.", len(mailed))
        self.message_user(request, told % {"number": len(mailed)}, messages.SUCCESS)
        if left := len(queryset) - len(mailed):
            told = ngettext(
                "%(number)d link is not: it has no e-mail address, is not open, or its reader wants no e-mails.",
                "%(number)d links are not: they have no e-mail address, are not open, or their readers want none.",
                left,
            )
            self.message_user(request, told % {"number": left}, messages.WARNING)

    @admin.action(description=_("Revoke the selected links"), permissions=["use"])
    def revoke(self, request, queryset):
        revoked = [link for link in queryset if revoke(link)]
        for link in revoked:
            self.log_change(request, link, gettext("Revoked."))
        told = ngettext("%(number)d link was revoked.", "%(number)d links were revoked.", len(revoked))
        self.message_user(request, told % {"number": len(revoked)}, messages.SUCCESS)


@admin.register(GuestEmail)
class GuestEmailAdmin(OutgoingEmailAdmin):
    outbox = outbox
    list_display = ("id", "to", "of_link", "kind", "state_badge", "attempts", "error", "due_at", "sent_at")
    list_filter = ("state", "kind")
    list_select_related = ("link",)

    @admin.display(description=_("guest link"))
    def of_link(self, email):
        url = reverse("admin:guests_guestlink_change", args=[email.link_id])
        return format_html('<a href="{}">{}</a>', url, email.link)
