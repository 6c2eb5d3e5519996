"""Tickets and their photos for staff: the only place where a ticket is cancelled or deleted."""

from django.contrib import admin, messages
from django.db import transaction
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from apps.tickets.endings import cancel_ticket
from apps.tickets.models import AssetRemoval, Image, Ticket


class ReadOnly:
    """Mixed into admins of what only the pipeline changes."""

    def has_add_permission(self, request, obj=None):
        return False

    def has_change_permission(self, request, obj=None):
        return False


class ImageInline(ReadOnly, admin.TabularInline):
    model = Image
    extra = 0
    can_delete = False
    show_change_link = True
    fields = ("position", "status", "filename", "size", "attempts", "error_code", "next_retry_at", "stored_at")
    readonly_fields = fields


@admin.register(Ticket)
class TicketAdmin(admin.ModelAdmin):
    list_display = ("id", "title", "owner", "status", "num_images", "created_at", "completed_at")
    list_filter = ("status", "created_at")
    list_select_related = ("owner",)
    search_fields = ("=id", "title", "owner__username", "owner__email")
    date_hierarchy = "created_at"
    readonly_fields = ("owner", "status", "num_images", "created_at", "updated_at", "completed_at")
    inlines = [ImageInline]
    actions = ["cancel"]

    def has_add_permission(self, request):
        return False  # tickets are opened by their owners, through the API

    def save_model(self, request, obj, form, change):
        """What staff edit is seen by the readers: raise the version that the ETag is made of."""
        with transaction.atomic():
            Ticket.objects.lock(obj.pk).touch(**{name: form.cleaned_data[name] for name in form.changed_data})

    @admin.action(description=_("Cancel the selected tickets"), permissions=["change"])
    def cancel(self, request, queryset):
        cancelled = sum(cancel_ticket(pk) for pk in queryset.values_list("pk", flat=True))
        message = ngettext("%(number)d ticket was cancelled.", "%(number)d tickets were cancelled.", cancelled)
        self.message_user(request, message % {"number": cancelled}, messages.SUCCESS)


@admin.register(Image)
class ImageAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ("id", "ticket", "position", "status", "attempts", "error_code", "created_at", "stored_at")
    list_filter = ("status", "error_code")
    list_select_related = ("ticket",)
    search_fields = ("=id", "=ticket__id")


@admin.register(AssetRemoval)
class AssetRemovalAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ("public_id", "due_at", "attempts", "error")
