"""Addresses of before their domain had one form get it, but for those that another account has: both go on, each by its
own spelling, until somebody changes one in the admin. In batches, each row by itself.
"""

import logging

from django.db import IntegrityError, migrations, transaction
from django.db.models import Q

from apps.common.mail.addresses import one_form

logger = logging.getLogger(__name__)

BATCH = 1000


def bring_into_one_form(apps, schema_editor):
    User = apps.get_model("accounts", "User")
    last = 0
    while batch := list(User.objects.filter(pk__gt=last).order_by("pk").values_list("pk", "email")[:BATCH]):
        last = batch[-1][0]
        for pk, email in batch:
            form = one_form(email)
            if form != email and not _give(User, pk, email, form):
                logger.warning("user %s keeps its address as it is: another account has its other spelling", pk)


def _give(User, pk, email, form) -> bool:
    if User.objects.exclude(pk=pk).filter(Q(email__iexact=form) | Q(username__iexact=form)).exists():
        return False
    try:
        with transaction.atomic():
            User.objects.filter(pk=pk, email=email).update(email=form)
    except IntegrityError:  # somebody has just registered with it
        return False
    return True


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("accounts", "0004_managers")]
    operations = [migrations.RunPython(bring_into_one_form, migrations.RunPython.noop)]
