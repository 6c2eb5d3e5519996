"""Users and their tokens in the admin, for superusers: no role has a permission for accounts."""

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import UserChangeForm
from django.db.models import PROTECT, Exists, OuterRef
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from apps.accounts.models import AuthToken, User
from apps.accounts.tokens import blacklist, end_sessions
from apps.common.admin.lists import LargeAdmin
from apps.common.mail.addresses import one_form


class HoplaUserChangeForm(UserChangeForm):
    email_verified = forms.BooleanField(
        label=_("address verified"),
        required=False,
        show_hidden_initial=True,  # the user may have verified it after the page was opened
        help_text=_("Whether this user has confirmed this address. A new address has to be confirmed again."),
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.initial["email_verified"] = self.instance.email_verified


@admin.register(User)
class HoplaUserAdmin(LargeAdmin, UserAdmin):
    form = HoplaUserChangeForm
    list_display = ("username", "email", "verified", "name", "is_active", "is_staff", "date_joined", "last_login")
    sortable_by = ("username",)
    search_fields = ("username", "email", "name", "phone")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        (_("Personal info"), {"fields": ("name", "email", "email_verified", "phone", "language")}),
        (_("Permissions"), {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        (_("Important dates"), {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = ((None, {"classes": ("wide",), "fields": ("username", "email", "password1", "password2")}),)
    actions = ["log_out_everywhere"]

    @admin.display(description=_("address verified"), boolean=True)
    def verified(self, user):
        return user.email_verified

    def get_search_results(self, request, queryset, search_term):
        return super().get_search_results(request, queryset, one_form(search_term))

    def save_model(self, request, obj, form, change):
        super().save_model(request, obj, form, change)
        if "email_verified" in form.changed_data:
            verified = obj.email if form.cleaned_data["email_verified"] else ""
            User.objects.filter(pk=obj.pk).update(verified_email=verified)

    @admin.action(description=_("Log the selected users out everywhere"), permissions=["change"])
    def log_out_everywhere(self, request, queryset):
        users = list(queryset)
        for user in users:
            end_sessions(user)
            self.log_change(request, user, gettext("Logged out everywhere."))
        message = ngettext("%(number)d user was logged out.", "%(number)d users were logged out.", len(users))
        self.message_user(request, message % {"number": len(users)}, messages.SUCCESS)

    def get_deleted_objects(self, objs, request):
        """Name the users who still own rows, with the number of each kind: Django would list every ticket."""
        staying = {user: kept for user in objs if (kept := rows_that_protect(user))}
        if not staying:
            return super().get_deleted_objects(objs, request)
        protected = [
            "{}: {}".format(user, ", ".join(f"{name}: {number}" for name, number in kept.items()))
            for user, kept in staying.items()
        ]
        protected.append(gettext("Make such a user inactive instead: it cannot log in any more, and its tickets stay."))
        return [], {}, set(), protected


def rows_that_protect(user: User) -> dict[str, int]:
    """`{plural name: number}` of the rows because of which this user is not deleted."""
    related = user._meta.get_fields(include_hidden=True)
    owning = [relation for relation in related if getattr(relation, "on_delete", None) is PROTECT]
    # Deleting a user would delete the admin's history of what the user did.
    owning.append(LogEntry._meta.get_field("user").remote_field)
    kept = {}
    for relation in owning:
        rows = relation.related_model._base_manager.filter(**{relation.field.name: user})
        if number := rows.count():
            name = str(relation.related_model._meta.verbose_name_plural)
            kept[name] = kept.get(name, 0) + number
    return kept


class TokenAdmin(LargeAdmin):
    """Base of the pages of tokens, which are made by logging in and never changed."""

    list_select_related = ("user",)
    sortable_by = ()

    def has_add_permission(self, request):
        return False  # no page could show its secret

    def has_change_permission(self, request, obj=None):
        return False


@admin.register(AuthToken)
class AuthTokenAdmin(TokenAdmin):
    """Who is logged in since when. Deleting a token revokes it."""

    list_display = ("token_key", "user", "created", "expiry", "last_used_at")
    search_fields = ("token_key", "user__username", "user__email")
    fields = ("token_key", "user", "created", "expiry", "last_used_at")
    readonly_fields = fields

    def get_actions(self, request):
        """Django's deletion of what is selected, under the name of what it does here."""
        actions = super().get_actions(request)
        if "delete_selected" in actions:
            function, name, _description = actions["delete_selected"]
            actions["delete_selected"] = function, name, _("Revoke the selected tokens")
        return actions


# simplejwt's own pages show the same tokens twice, and offer to end one by typing its number.
admin.site.unregister(BlacklistedToken)
admin.site.unregister(OutstandingToken)


@admin.register(OutstandingToken)
class RefreshTokenAdmin(TokenAdmin):
    """The refresh tokens of JWT pairs: one on the blacklist was used, logged out or ended here, and gives no new pair.

    An access token lives for a few minutes more. To end those as well, log the user out everywhere.
    """

    list_display = ("jti", "user", "created_at", "expires_at", "blacklisted")
    search_fields = ("jti", "user__username", "user__email")
    ordering = ("-id",)
    fields = ("jti", "user", "created_at", "expires_at", "blacklisted")
    readonly_fields = fields
    actions = ["end"]

    def get_queryset(self, request):
        on_the_list = Exists(BlacklistedToken.objects.filter(token=OuterRef("pk")))
        return super().get_queryset(request).annotate(is_blacklisted=on_the_list)

    @admin.display(description=_("on the blacklist"), boolean=True)
    def blacklisted(self, token):
        return token.is_blacklisted

    @admin.action(description=_("Put the selected tokens on the blacklist"), permissions=["blacklist"])
    def end(self, request, queryset):
        ended = [token for token in queryset.filter(is_blacklisted=False) if blacklist(token)]
        for token in ended:
            self.log_change(request, token, gettext("Put on the blacklist."))
        message = ngettext("%(number)d token was ended.", "%(number)d tokens were ended.", len(ended))
        self.message_user(request, message % {"number": len(ended)}, messages.SUCCESS)

    def has_blacklist_permission(self, request):
        return request.user.has_perm("token_blacklist.add_blacklistedtoken")

    def has_delete_permission(self, request, obj=None):
        return False  # a deleted row would not end its token
