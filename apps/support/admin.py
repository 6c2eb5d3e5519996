"""The support desk in the admin: staff read tickets, answer them and change their status, which sends the e-mails."""

from django import forms
from django.contrib import admin, messages
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.common.admin.badge import badge
from apps.common.admin.emails import OutgoingEmailAdmin
from apps.common.admin.lists import FirstDayFilter, LargeAdmin, LastDayFilter
from apps.support.conversations import change_status, write_message
from apps.support.emails import outbox
from apps.support.errors import SupportTicketClosedError
from apps.support.models import Email, Event, Message, SupportStatus, SupportTicket


class ReadOnlyInline(admin.TabularInline):
    extra = 0
    can_delete = False

    def has_add_permission(self, request, obj=None):
        return False

    def has_change_permission(self, request, obj=None):
        return False


class ThreadInline(ReadOnlyInline):
    model = Message
    verbose_name_plural = _("thread")
    fields = readonly_fields = ("created_at", "author", "is_staff", "text")


class HistoryInline(ReadOnlyInline):
    model = Event
    verbose_name_plural = _("who did what")
    fields = readonly_fields = ("created_at", "actor", "kind", "old_status", "new_status")


class AnswerForm(forms.ModelForm):
    """The two things staff do to a ticket; neither is saved by the form itself, see SupportTicketAdmin.save_model."""

    answer = forms.CharField(label=_("Answer"), required=False, max_length=10_000, widget=forms.Textarea)

    class Meta:
        model = SupportTicket
        fields = ["status"]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if "status" in self.fields:
            self.fields["status"].show_hidden_initial = True  # a page opened earlier must not reset it

    def clean(self):
        stays_closed = self.initial["status"] == self.cleaned_data.get("status") == SupportStatus.CLOSED
        if stays_closed and self.cleaned_data.get("answer"):
            raise forms.ValidationError(_("This ticket is closed: set it to active first, then answer."))
        return super().clean()


@admin.register(SupportTicket)
class SupportTicketAdmin(LargeAdmin):
    form = AnswerForm
    list_display = ("id", "title", "owner", "status_badge", "created_at", "updated_at")
    list_display_links = ("id", "title")
    list_filter = ("status", FirstDayFilter, LastDayFilter)
    list_select_related = ("owner",)
    sortable_by = ()
    search_fields = ("=id", "title", "body_text", "owner__username", "owner__email")
    date_hierarchy = "created_at"
    fields = ("title", "body_text", "owner", "upload_ticket", "owner_subscribed", "created_at", "status", "answer")
    readonly_fields = ("title", "body_text", "owner", "upload_ticket", "owner_subscribed", "created_at")
    inlines = [ThreadInline, HistoryInline]

    @admin.display(description=_("status"))
    def status_badge(self, ticket):
        return badge(ticket.status, ticket.get_status_display())

    @admin.display(description=_("upload ticket"))
    def upload_ticket(self, ticket):
        if ticket.ticket_id is None:
            return "-"
        url = reverse("admin:tickets_ticket_change", args=[ticket.ticket_id])
        return format_html('<a href="{}">{}</a>', url, ticket.ticket)

    def has_add_permission(self, request):
        return False  # tickets are opened by their owners, through the API

    def save_model(self, request, obj, form, change):
        """Call the same functions as the API, so that events and e-mails are the same."""
        answer = form.cleaned_data["answer"]
        # Only what was chosen here: another agent may have changed the status since this page was opened.
        status = form.cleaned_data["status"] if "status" in form.changed_data else None
        if status not in (None, SupportStatus.CLOSED):
            change_status(ticket_id=obj.pk, actor=request.user, status=status)
        if answer:
            try:
                write_message(ticket_id=obj.pk, author=request.user, text=answer)
            except SupportTicketClosedError:
                refusal = gettext("Somebody has closed this ticket meanwhile: your answer was not sent.")
                self.message_user(request, refusal, messages.ERROR)
        if status == SupportStatus.CLOSED:  # last, as no message can be written on a closed ticket
            change_status(ticket_id=obj.pk, actor=request.user, status=status)


@admin.register(Email)
class EmailAdmin(OutgoingEmailAdmin):
    """The e-mails of the desk."""

    outbox = outbox
    list_display = ("id", "to", "ticket", "event", "state_badge", "attempts", "error", "due_at", "sent_at")
    list_filter = ("state", "audience")
    list_select_related = ("event__ticket",)

    @admin.display(description=_("support ticket"))
    def ticket(self, email):
        url = reverse("admin:support_supportticket_change", args=[email.event.ticket_id])
        return format_html('<a href="{}">{}</a>', url, email.event.ticket)
