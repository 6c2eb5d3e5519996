from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import AuthToken, User


@admin.register(User)
class HoplaUserAdmin(UserAdmin):
    list_display = ("username", "email", "name", "is_staff", "date_joined", "last_login")
    search_fields = ("username", "email", "name", "phone")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        (_("Personal info"), {"fields": ("name", "email", "phone", "language")}),
        (_("Permissions"), {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        (_("Important dates"), {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = ((None, {"classes": ("wide",), "fields": ("username", "email", "password1", "password2")}),)


@admin.register(AuthToken)
class AuthTokenAdmin(admin.ModelAdmin):
    """Who is logged in since when. Deleting a token revokes it."""

    list_display = ("token_key", "user", "created", "expiry", "last_used_at")
    list_select_related = ("user",)
    search_fields = ("token_key", "user__username", "user__email")
    fields = ("token_key", "user", "created", "expiry", "last_used_at")
    readonly_fields = fields

    def has_add_permission(self, request):
        return False  # its secret could be shown to nobody

    def has_change_permission(self, request, obj=None):
        return False
