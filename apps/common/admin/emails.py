"""What the admin's lists of outgoing e-mails have in common, see apps/common/mail/outbox.py."""

from django.contrib import admin, messages
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from apps.common.admin.badge import badge
from apps.common.admin.lists import LargeAdmin


class OutgoingEmailAdmin(LargeAdmin):
    """E-mails that were sent, wait, or failed. The permission to change them only allows sending again.

    `outbox` is the one that sends them.
    """

    outbox = None
    search_fields = ("to",)
    ordering = ("-id",)
    sortable_by = ()
    actions = ["send_now"]

    @admin.display(description=_("state"))
    def state_badge(self, email):
        return badge(email.state, email.get_state_display())

    @admin.action(description=_("Send the selected e-mails now"), permissions=["send"])
    def send_now(self, request, queryset):
        owed = [email for email in queryset if self.outbox.send_again(email.pk)]
        for email in owed:
            self.log_change(request, email, gettext("Sent again."))
        message = ngettext(
            "%(number)d e-mail is on its way. One that was sent before is not sent twice.",
            "%(number)d e-mails are on their way. One that was sent before is not sent twice.",
            len(owed),
        )
        self.message_user(request, message % {"number": len(owed)}, messages.SUCCESS)

    def has_send_permission(self, request):
        return super().has_change_permission(request)

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return False
