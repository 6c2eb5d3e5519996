"""The language of a response: that of the user's cookie or browser."""

from django.utils import translation
from django.utils.cache import patch_vary_headers


class LanguageMiddleware:
    """Does what Django's LocaleMiddleware does where paths name no language, as here: that one looks for one in every
    path, twice.
    """

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        request.LANGUAGE_CODE = translation.get_language_from_request(request)
        translation.activate(request.LANGUAGE_CODE)
        response = self.get_response(request)
        patch_vary_headers(response, ("Accept-Language",))
        response.headers.setdefault("Content-Language", translation.get_language())
        return response
