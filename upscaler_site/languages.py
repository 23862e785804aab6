"""Language of an answer: the caller's by Accept-Language, English for staff, operators and programs."""

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.middleware.locale import LocaleMiddleware
from django.utils import translation

#: What staff and operators read is English, as the logs are: half of a screen in another language helps nobody.
_ENGLISH = ("/admin", "/metrics", "/api/docs", "/api/redoc", "/api/schema")
#: Answers that hold texts. A picture is the same one in every language, and caches need to keep it once only.
_TEXTS = ("text/", "application/json")


class LanguageMiddleware(LocaleMiddleware):
    """Chooses the language, and tells caches that the answer depends on it where it does."""

    def process_request(self, request: HttpRequest) -> None:
        """Activate the first language of Accept-Language that there is a catalogue for."""
        if request.path_info.startswith(_ENGLISH):
            translation.activate(settings.LANGUAGE_CODE)
            request.LANGUAGE_CODE = settings.LANGUAGE_CODE
        else:
            super().process_request(request)

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Add Vary and Content-Language to what holds texts."""
        if request.path_info.startswith(_ENGLISH) or not response.get("Content-Type", "").startswith(_TEXTS):
            return response
        return super().process_response(request, response)
