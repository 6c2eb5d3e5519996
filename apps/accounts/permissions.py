"""Permissions for accounts: users manage their own, staff list all."""

from rest_framework.permissions import AllowAny, BasePermission, IsAuthenticated


class MayListUsers(BasePermission):
    """Anyone may ask to be registered (POST); only staff see the list."""

    def has_permission(self, request, view):
        if request.method == "POST":
            return True
        return bool(request.user and request.user.is_authenticated and request.user.is_staff)


ANYONE = [AllowAny]
SIGNED_IN = [IsAuthenticated]
