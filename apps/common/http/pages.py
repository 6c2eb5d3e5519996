"""Pages for people who open hopla in a browser without a path: what it is, and where to go."""

from django.shortcuts import render
from django.views.decorators.http import require_safe


@require_safe
def home(request):
    return render(request, "hopla/home.html")
