"""The page of the admin that shows a secret of a row, with a button that copies it."""

from django.template.response import TemplateResponse


def shown_once(model_admin, request, row, *, title: str, secret: str, template: str, **more) -> TemplateResponse:
    """Answer a POST with the page, so that it is in no history of a browser. `template` extends admin/shown_once.html
    and says what the secret is; `more` is for it.
    """
    context = model_admin.admin_site.each_context(request) | {
        "title": title,
        "opts": model_admin.opts,
        "original": row,
        "secret": secret,
    }
    headers = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return TemplateResponse(request, template, context | more, headers=headers)
