"""Pages for people who come by a browser and know no address: what this is, and where to go."""

from django.shortcuts import render
from django.views.decorators.http import require_safe


@require_safe
def home(request):
    return render(request, "hopla/home.html")
