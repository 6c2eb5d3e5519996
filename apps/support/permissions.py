"""Permissions at the desk: owners read and write on their own tickets, staff on all; only staff change a status."""

from rest_framework.permissions import SAFE_METHODS, BasePermission


class StaffChangeStatus(BasePermission):
    def has_object_permission(self, request, view, obj):
        return request.method in SAFE_METHODS or request.user.is_staff
