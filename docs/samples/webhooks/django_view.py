"""Receives webhooks of hopla in a Django project: path("hopla-webhook/", hopla_webhook), with the secret in settings.

pip install standardwebhooks
"""

from django.conf import settings
from django.core.cache import cache
from django.http import HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

A_WEEK = 7 * 24 * 60 * 60


@csrf_exempt
@require_POST
def hopla_webhook(request):
    headers = {name.lower(): value for name, value in request.headers.items()}
    try:
        event = Webhook(settings.HOPLA_WEBHOOK_SECRET).verify(request.body, headers)
    except (WebhookVerificationError, ValueError):
        return HttpResponse(status=400)
    # Where no event may be lost, keep the id in a table, in the transaction that queues the work.
    if cache.add(f"hopla-webhook:{headers['webhook-id']}", True, timeout=A_WEEK):
        enqueue(event)
    return HttpResponse(status=204)


def enqueue(event):
    """Yours: put it in your queue of tasks, and do the work there."""
