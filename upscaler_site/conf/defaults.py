"""The settings that no operator chooses: what the service is put together from, and how its parts work together.

settings.py takes all of them over and adds what the environment decides.
"""

import warnings

import django_stubs_ext
from corsheaders.defaults import default_headers
from csp.constants import SELF

from upscaler_site.api.description import DESCRIPTION, TAGS
from upscaler_site.conf import places
from upscaler_site.conf.version import VERSION

# Lets typed code say `admin.ModelAdmin[Job]`: Django's own classes cannot be subscripted at run time.
django_stubs_ext.monkeypatch()

BASE_DIR = places.ROOT
UPSCALER_VERSION = VERSION

# --- Django -----------------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "corsheaders",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "audit",
    "jobs",  # before django_q: our command `qcluster` goes before its namesake
    "django_q",
    "modelstore",
    "monitoring",
]
MIDDLEWARE = [
    "upscaler_site.api.middleware.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "monitoring.requests.CountRequests",
    "csp.middleware.CSPMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "upscaler_site.languages.LanguageMiddleware",
    "upscaler_site.api.middleware.ApiEdgeMiddleware",
    "jobs.auth.throttling.RateLimitHeadersMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "jobs.auth.auditing.AuditMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
CSRF_FAILURE_VIEW = "upscaler_site.api.error_pages.csrf_failure"
ROOT_URLCONF = "upscaler_site.urls"
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
WSGI_APPLICATION = "upscaler_site.wsgi.application"
APPEND_SLASH = False
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [places.TEMPLATES],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LANGUAGE_CODE = "en"
LANGUAGES = [  # of the page and of the API's errors, each with a complete catalogue in templates/locale
    ("en", "English"),
    ("de", "Deutsch"),
    ("fr", "Français"),
    ("es", "Español"),
    ("ja", "日本語"),
    ("zh-hans", "简体中文"),
]
LOCALE_PATHS = [places.TEMPLATES / "locale"]
TIME_ZONE = "UTC"
USE_TZ = True
STATICFILES_DIRS = [places.TEMPLATES / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "upscaler_site.static_files.HashedStaticFilesStorage"},
}

# --- Uploads ----------------------------------------------------------------------------------------------------------
MEDIA_URL = ""  # files are never served by name: only through the API, by job
DATA_UPLOAD_MAX_MEMORY_SIZE = 2_500_000  # bodies that are not files; files are streamed and bounded by MAX_UPLOAD_MB
DATA_UPLOAD_MAX_NUMBER_FIELDS = 200
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.TemporaryFileUploadHandler"]  # never whole in memory
FILE_UPLOAD_PERMISSIONS = 0o640

# --- Browsers ---------------------------------------------------------------------------------------------------------
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
# Everything from this origin, nothing inline: an injected tag can neither run nor send anything out.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "blob:", "data:"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": [SELF],
        "frame-ancestors": ["'none'"],
    }
}
CORS_URLS_REGEX = r"^/api/"
CORS_ALLOW_CREDENTIALS = False  # another site's page acts by its own key, never by a staff member's session
CORS_ALLOW_HEADERS = [
    *default_headers,
    "x-api-key",
    "x-request-id",
    "idempotency-key",
    "prefer",
    "range",
    "last-event-id",
]
CORS_EXPOSE_HEADERS = [
    "Content-Disposition",
    "Content-Range",
    "ETag",
    "Link",
    "Location",
    "Preference-Applied",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-Job-ID",
    "X-Processing-Time",
    "X-Request-ID",
]

# --- API --------------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["upscaler_site.api.negotiation.StrictJSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "upscaler_site.api.negotiation.FirstRenderer",
    "URL_FORMAT_OVERRIDE": None,  # `format` is the picture's
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "jobs.auth.authentication.KeyAuthentication",  # first: its WWW-Authenticate makes a refusal a 401
        "jobs.auth.authentication.LinkAuthentication",
        "jobs.auth.authentication.StaffAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["jobs.auth.authentication.ScopePermission"],
    "DEFAULT_THROTTLE_CLASSES": ["jobs.auth.throttling.ScopeThrottle"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "upscaler_site.api.errors.exception_handler",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Real-ESRGAN API",
    "DESCRIPTION": DESCRIPTION,
    "TAGS": TAGS,
    "CONTACT": {"name": "Whoever runs this service"},
    "SERVERS": [{"url": "/", "description": "This service"}],
    "VERSION": VERSION,
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    # A name that templates/static/page/docs/try_it_out.js gives to Swagger UI's settings; the page loads it first.
    "SWAGGER_UI_SETTINGS": "upscalerDocs",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "LICENSE": {"name": "BSD-3-Clause", "identifier": "BSD-3-Clause"},
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "PREPROCESSING_HOOKS": ["upscaler_site.api.schema.only_the_api"],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "upscaler_site.api.schema.document_errors",
        "upscaler_site.api.schema.give_examples",
        "upscaler_site.api.schema.name_the_host",
    ],
    "ENUM_NAME_OVERRIDES": {
        "JobStatus": "jobs.states.Status",
        "BatchStatus": "jobs.states.BATCH_STATUSES",
        "JobPriority": "jobs.states.PRIORITY_NAMES",
        "AskedPriority": "jobs.states.PRIORITIES_ASKED",
    },
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
}

# --- Queue ------------------------------------------------------------------------------------------------------------
# What each value prevents is written in jobs/queue/broker.py; `timeout` is only the outermost guard: a job's own limit
# is JOB_TIMEOUT_SECONDS and is held by the worker itself.
# django-q2 warns at each start of a missing `timeout`; ours is per job, and our broker delivers nothing a second time.
warnings.filterwarnings("ignore", "Retry and timeout are misconfigured", UserWarning)
Q_CLUSTER = {
    "name": "gpu",
    "orm": "default",
    "broker_class": "jobs.queue.broker.PostgresBroker",
    "workers": 1,
    "recycle": 0,
    "queue_limit": 1,
    "bulk": 1,
    "guard_cycle": 0.5,
    "timeout": None,
    "retry": 120,
    "ack_failures": True,
    "max_attempts": 1,
    "save_limit": -1,
    "catch_up": False,
    "scheduler": False,
    "label": "Queue",
    "ALT_CLUSTERS": {"io": {"workers": 4}},
}
