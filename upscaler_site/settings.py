"""Every choice of the operator, read once from the environment through env.py. The rest is in conf/defaults.py.

Rooms read these as ``django.conf.settings.NAME``; names carry their units. The README's configuration table lists each
variable, and a test holds the two together.
"""

import re
from urllib.parse import urlsplit

from upscaler_site.conf import data_directory, env, oidc, storage, traces
from upscaler_site.conf.broker import broker_from
from upscaler_site.conf.defaults import *  # noqa: F403 - Django wants all settings in one module
from upscaler_site.conf.secret_key import secret_key_for, webhook_secrets_for
from upscaler_site.logs.config import logging_from
from upscaler_site.postgres.url import database_from
from upscaler_site.process import bind_address

# --- Where data lives -------------------------------------------------------------------------------------------------
DATA_DIR = data_directory.chosen()
MODELS_DIR = env.directory(
    "MODELS_DIR",
    DATA_DIR / "models",
    shown="UPSCALER_DATA_DIR/models",
    help="Weights of the models, shared by hosts; with STORAGE this host's own",
)
MODEL_CACHE_DIR = env.directory(
    "MODEL_CACHE_DIR",
    MODELS_DIR,
    shown="MODELS_DIR",
    help="This host's own verified copies, where MODELS_DIR is a network disk",
)
MEDIA_ROOT = env.directory(
    "FILES_DIR",
    DATA_DIR / "files",
    shown="UPSCALER_DATA_DIR/files",
    help="Uploaded pictures and results, shared by hosts; with STORAGE this host's scratch directory",
)
STORAGE_ADDRESS = storage.address()
AWS_ACCESS_KEY_ID = env.text("AWS_ACCESS_KEY_ID", help="Access key of STORAGE; unset: as AWS's own tools find one")
AWS_SECRET_ACCESS_KEY = env.text("AWS_SECRET_ACCESS_KEY", help="The secret of AWS_ACCESS_KEY_ID")
STORAGE_TIMEOUT_SECONDS = env.number(
    "STORAGE_TIMEOUT_SECONDS", 10, minimum=1, maximum=120, help="Time limit for each answer of STORAGE, of three tries"
)
STORAGE_REDIRECT_SECONDS = env.integer(
    "STORAGE_REDIRECT_SECONDS",
    0,
    minimum=0,
    maximum=604_800,
    help="Results come from STORAGE itself, by a link of so long a life; 0: through this service",
)
FILE_UPLOAD_TEMP_DIR = str(MEDIA_ROOT / "uploads")
STATIC_ROOT = DATA_DIR / "static"
MEASUREMENTS_DIR = DATA_DIR / "measured"  # which backend is the fastest on which processor; deleting it costs a second

# --- Web --------------------------------------------------------------------------------------------------------------
DEBUG = env.flag("DEBUG", False, help="Django's debug pages; never in production")
_given_secret_key = env.text("SECRET_KEY", help="Signs sessions; made and kept in the data directory if unset")
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", ["*"], help="Host names that the service answers to")
CSRF_TRUSTED_ORIGINS = env.words(
    "CSRF_TRUSTED_ORIGINS", help="Origins such as https://up.example.org that may post forms"
)
PUBLIC_URL = bind_address.public_url()
# Under a sub-path, every link, cookie and static file has that path, whatever a request's headers say.
PUBLIC_PATH = urlsplit(PUBLIC_URL).path
FORCE_SCRIPT_NAME = PUBLIC_PATH or None
STATIC_URL = f"{PUBLIC_PATH}/static/"
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = LANGUAGE_COOKIE_PATH = PUBLIC_PATH or "/"
if PUBLIC_PATH:
    SPECTACULAR_SETTINGS = SPECTACULAR_SETTINGS | {"SERVERS": [{"url": PUBLIC_PATH, "description": "This service"}]}  # noqa: F405 - from fixed_settings
HTTPS_ONLY = env.flag(
    "HTTPS_ONLY", False, help="Redirect to HTTPS, secure cookies, HSTS; the proxy must set X-Forwarded-Proto"
)
TRUSTED_PROXIES = env.integer(
    "TRUSTED_PROXIES",
    0,
    minimum=0,
    maximum=10,
    help="Number of reverse proxies in front, whose X-Forwarded-For is trusted",
)
CORS_ALLOWED_ORIGINS = env.words("CORS_ALLOWED_ORIGINS", help="Origins whose pages may call the API, or *")
CORS_ALLOW_ALL_ORIGINS = "*" in CORS_ALLOWED_ORIGINS
CORS_ALLOWED_ORIGINS = [] if CORS_ALLOW_ALL_ORIGINS else CORS_ALLOWED_ORIGINS
LISTEN_ADDRESS = bind_address.listen_address()
PORT = bind_address.port()
WEB_WORKERS = env.integer("WEB_WORKERS", 1, minimum=1, maximum=64, help="Web server processes")
MAX_WAITING_REQUESTS = env.integer(
    "MAX_WAITING_REQUESTS",
    200,
    minimum=1,
    maximum=2000,
    help="Requests per web process that may wait for a job; beyond: 202",
)
REQUEST_HEADER_SECONDS = env.integer(
    "REQUEST_HEADER_SECONDS", 10, minimum=1, maximum=600, help="Time limit for receiving a request's header; then 408"
)
MIN_TRANSFER_BYTES_PER_SECOND = env.integer(
    "MIN_TRANSFER_BYTES_PER_SECOND",
    1000,
    minimum=1,
    help="Minimum transfer rate of a request's body (below: 408) and of a response, after a grace of 20 seconds",
)

# Over plain HTTP browsers ignore the header, and complain on every page.
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin" if HTTPS_ONLY else None
if HTTPS_ONLY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    _below = re.escape(f"{PUBLIC_PATH}/".lstrip("/"))
    SECURE_REDIRECT_EXEMPT = [rf"^{_below}api/v1/health", rf"^{_below}metrics$"]  # probes come without a proxy and TLS
    SECURE_HSTS_SECONDS = 31_536_000
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True

# --- Inputs and limits ------------------------------------------------------------------------------------------------
MAX_UPLOAD_MB = env.integer(
    "MAX_UPLOAD_MB", 500, minimum=1, maximum=100_000, help="Largest upload, in MB of 1,000,000 bytes"
)
MAX_UPLOAD_BYTES = MAX_UPLOAD_MB * 1_000_000
MAX_BATCH_IMAGES = env.integer("MAX_BATCH_IMAGES", 100, minimum=1, maximum=1000, help="Pictures in one batch")
MAX_INPUT_PIXELS = env.integer("MAX_INPUT_PIXELS", 50_000_000, minimum=1, help="Largest input, in pixels of all frames")
MAX_OUTPUT_PIXELS = env.integer(
    "MAX_OUTPUT_PIXELS", 400_000_000, minimum=1, help="Largest output, in pixels of all frames"
)
MAX_IMAGE_SIDE = env.integer(
    "MAX_IMAGE_SIDE", 30_000, minimum=16, maximum=65_535, help="Longest side of an input, in pixels"
)
MAX_FRAMES = env.integer("MAX_FRAMES", 200, minimum=1, help="Frames of an animation")
MAX_QUEUED_JOBS = env.integer("MAX_QUEUED_JOBS", 1000, minimum=1, help="Waiting jobs; beyond: 503 with Retry-After")
QUEUE_MAX_WAIT_SECONDS = env.integer(
    "QUEUE_MAX_WAIT_SECONDS",
    3600,
    minimum=0,
    help="A job that waits for so long moves up by one priority, from batches to high; 0 is never",
)
MAX_STORAGE_GB = env.number(
    "MAX_STORAGE_GB", 0, minimum=0, help="Storage quota for pictures, in GB of 1e9 bytes; 0 is no limit; beyond: 507"
)
MIN_FREE_DISK_MB = env.integer(
    "MIN_FREE_DISK_MB", 500, minimum=0, help="Free disk that uploads must leave; beyond: 507"
)
IMAGE_URL_HOSTS = env.words(
    "IMAGE_URL_HOSTS", help="Hosts allowed in image_url, such as img.example.org or *.example.org; none: off"
)
IMAGE_URL_TIMEOUT_SECONDS = env.number(
    "IMAGE_URL_TIMEOUT_SECONDS", 30, minimum=0.1, maximum=600, help="Time limit for fetching an image_url"
)

DATA_UPLOAD_MAX_NUMBER_FILES = MAX_BATCH_IMAGES + 1  # one more, so that our own message names the limit

# --- Jobs -------------------------------------------------------------------------------------------------------------
DEFAULT_MODEL = env.text(
    "DEFAULT_MODEL",
    "RealESRGAN_x4plus",
    help="a model, or up to three as first+second: what requests mean that name none",
    pattern=r"[^+]+(\+[^+]+){0,2}",
)
SYNC_WAIT_SECONDS = env.integer(
    "SYNC_WAIT_SECONDS", 300, minimum=1, maximum=3600, help="Longest wait of POST /upscale; then 202"
)
JOB_LEASE_SECONDS = env.integer(
    "JOB_LEASE_SECONDS",
    30,
    minimum=5,
    maximum=600,
    help="Lease of a job: a worker without heartbeat for so long has lost it",
)
STRIP_METADATA_DEFAULT = env.text(
    "STRIP_METADATA_DEFAULT",
    "none",
    choices=("none", "location", "all"),
    help="What results lose where a caller does not say: none, location (GPS) or all metadata",
)
JOB_MAX_ATTEMPTS = env.integer("JOB_MAX_ATTEMPTS", 3, minimum=1, maximum=10, help="Attempts of a job whose worker dies")
JOB_TIMEOUT_SECONDS = env.integer(
    "JOB_TIMEOUT_SECONDS", 600, minimum=1, help="Hard time limit of a job; the next is added"
)
JOB_TIMEOUT_SECONDS_PER_MEGAPIXEL = env.integer(
    "JOB_TIMEOUT_SECONDS_PER_MEGAPIXEL",
    600,
    minimum=0,
    help="Hard time limit, added per input megapixel and model of a chain",
)
RESULT_TTL_HOURS = env.integer("RESULT_TTL_HOURS", 24, minimum=1, help="Age at which clean-up removes a finished job")
MAX_RETAIN_HOURS = (
    env.integer(
        "MAX_RETAIN_HOURS",
        0,
        minimum=0,
        maximum=87_600,
        help="Longest time for which a caller or a key may have finished jobs kept; 0: RESULT_TTL_HOURS",
    )
    or RESULT_TTL_HOURS
)
DOWNLOAD_GRACE_SECONDS = env.integer(
    "DOWNLOAD_GRACE_SECONDS",
    60,
    minimum=0,
    maximum=86_400,
    help="How long a job of delete_after_download stays after its result was sent: a proxy may still be delivering it",
)
DELETE_INPUTS_WHEN_DONE = env.flag(
    "DELETE_INPUTS_WHEN_DONE", False, help="Delete a job's picture when the job has ended; its result stays"
)
CLEANUP_INTERVAL_MINUTES = env.integer(
    "CLEANUP_INTERVAL_MINUTES", 60, minimum=0, help="Time between automatic clean-ups; 0 is never"
)
USAGE_KEEP_DAYS = env.integer(
    "USAGE_KEEP_DAYS", 0, minimum=0, help="Age in days at which clean-up removes the usage ledger's lines; 0 is never"
)
SWEEP_SECONDS = env.number(
    "SWEEP_SECONDS", 5, minimum=0.5, maximum=300, help="Time between two runs of the sweeper, which requeues lost jobs"
)
REUSE_RESULTS = env.flag("REUSE_RESULTS", False, help="Reuse an existing result for the same bytes and options")
IDEMPOTENCY_TTL_HOURS = env.integer(
    "IDEMPOTENCY_TTL_HOURS", 24, minimum=1, help="How long an Idempotency-Key is remembered"
)
STOP_GRACE_SECONDS = env.integer(
    "STOP_GRACE_SECONDS", 8, minimum=1, maximum=3600, help="Time that a stopping worker gives its running job"
)

# --- Inference --------------------------------------------------------------------------------------------------------
DEVICE = env.text(
    "DEVICE",
    "auto",
    pattern=r"auto|cpu|mps|(cuda|xpu|openvino-gpu|vulkan)(:\d+)?",
    help="auto, cpu, cuda, xpu, mps, openvino-gpu or vulkan, or one of several: cuda:N, xpu:N, vulkan:N …",
)
PRECISION = env.text("PRECISION", "auto", choices=["auto", "fp32", "bf16", "fp16"], help="Number format of inference")
ENGINE_BACKEND = env.text(
    "ENGINE_BACKEND",
    "auto",
    choices=["auto", "torch", "openvino", "winograd", "reference"],
    help="Inference backend; auto picks the fastest on this machine",
)
MODEL_MEMORY_MB = env.integer(
    "MODEL_MEMORY_MB",
    2000,
    minimum=100,
    help="Cache of loaded networks per worker; the least recently used is dropped first",
)
PIPELINE_MEMORY_MB = env.integer(
    "PIPELINE_MEMORY_MB",
    1000,
    minimum=0,
    help="Pictures that a worker holds while it decodes the next job and encodes the last one beside the device's work; "
    "0: one job after another",
)
WARM_MODELS = env.words("WARM_MODELS", help="Models loaded when a worker starts; of a chain, its members")
GPU_WORKERS = env.integer(
    "GPU_WORKERS", 0, minimum=0, maximum=64, help="Inference processes of this host; 0: one per GPU, one on a CPU"
)

# --- Models -----------------------------------------------------------------------------------------------------------
MODEL_GITHUB_URL = env.text(
    "MODEL_GITHUB_URL",
    "https://github.com/xinntao/Real-ESRGAN/releases/download",
    help="Base address of provider github",
).rstrip("/")
MODEL_HUGGINGFACE_URL = env.text(
    "MODEL_HUGGINGFACE_URL", "https://huggingface.co", help="Base address of provider huggingface"
).rstrip("/")
MODEL_DOWNLOAD_TIMEOUT_SECONDS = env.integer(
    "MODEL_DOWNLOAD_TIMEOUT_SECONDS", 1800, minimum=1, help="Time limit for downloading one model"
)
MODEL_DOWNLOAD_STALL_SECONDS = env.integer(
    "MODEL_DOWNLOAD_STALL_SECONDS", 30, minimum=1, help="A download without data for so long is aborted and resumed"
)
MODEL_DOWNLOAD_WAIT_SECONDS = env.integer(
    "MODEL_DOWNLOAD_WAIT_SECONDS", 600, minimum=1, help="Longest wait of POST /models/download"
)
MODEL_DOWNLOAD_RETRIES = env.integer("MODEL_DOWNLOAD_RETRIES", 3, minimum=0, maximum=20, help="Retries per source")
MAX_MODEL_UPLOAD_MB = env.integer(
    "MAX_MODEL_UPLOAD_MB", 1000, minimum=1, help="Largest file of a model that is imported or listed, in MB"
)
MODEL_CATALOG = env.file(
    "MODEL_CATALOG",
    DATA_DIR / "models.toml",
    shown="UPSCALER_DATA_DIR/models.toml",
    help="Your own list of models that can be downloaded; may be missing",
)
MODEL_CATALOG_URL = env.text(
    "MODEL_CATALOG_URL", help="Such a list at an https address, read again every six hours; none: off"
)
MODEL_ALLOW_PRIVATE = env.flag(
    "MODEL_ALLOW_PRIVATE",
    False,
    help="The lists and their sources may be at private addresses and http://, and are reached through HTTPS_PROXY",
)

# --- Prices -----------------------------------------------------------------------------------------------------------
TARIFF_PER_DEVICE_SECOND = env.money(
    "TARIFF_PER_DEVICE_SECOND", help="Price of a second of a device, such as 0.0004, which quotes tell; none: no price"
)
TARIFF_PER_OUTPUT_MEGAPIXEL = env.money(
    "TARIFF_PER_OUTPUT_MEGAPIXEL", help="Price of a megapixel of the result, added to the one before"
)
TARIFF_CURRENCY = env.text(
    "TARIFF_CURRENCY", "EUR", pattern=r"[A-Z]{3}", help="three capital letters (ISO 4217): the currency of the prices"
)

# --- Access -----------------------------------------------------------------------------------------------------------
REQUIRE_API_KEY = env.flag("REQUIRE_API_KEY", False, help="Every API call needs a key; callers see their own jobs only")
REQUIRE_MANAGE_KEY = env.flag(
    "REQUIRE_MANAGE_KEY", False, help="Downloads and clean-up by API need a key of scope manage"
)
RATE_LIMIT_UPSCALE = env.rate(
    "RATE_LIMIT_UPSCALE", help="Submissions per key or address, such as 60/minute; none is no limit"
)
RATE_LIMIT_READ = env.rate(
    "RATE_LIMIT_READ", help="Other calls per key or address, such as 600/minute; none is no limit"
)
CALLER_MAX_QUEUED_JOBS = env.integer(
    "CALLER_MAX_QUEUED_JOBS",
    0,
    minimum=0,
    help="Waiting jobs of one caller, where its key says nothing else; 0 is no limit; beyond: 429",
)
CALLER_MAX_RUNNING_JOBS = env.integer(
    "CALLER_MAX_RUNNING_JOBS",
    0,
    minimum=0,
    help="Jobs of one caller that run at once; the others wait; 0 is no limit",
)
CALLER_MAX_STORED_GB = env.number(
    "CALLER_MAX_STORED_GB",
    0,
    minimum=0,
    help="Inputs and results of one caller, in GB of 1e9 bytes; 0 is no limit; beyond: 429",
)
CALLER_MAX_MEGAPIXELS_PER_DAY = env.number(
    "CALLER_MAX_MEGAPIXELS_PER_DAY",
    0,
    minimum=0,
    help="Megapixels that one caller may submit from 0:00 to 0:00 UTC; 0 is no limit; beyond: 429",
)

OIDC_ISSUER = env.text(
    "OIDC_ISSUER", help="Issuer of your OpenID Connect provider, an https address: staff may log in by it; none: off"
)
OIDC_RP_CLIENT_ID = env.text("OIDC_CLIENT_ID", help="This service's name at the provider")
OIDC_RP_CLIENT_SECRET = env.text("OIDC_CLIENT_SECRET", help="This service's secret at the provider")
OIDC_RP_SCOPES = env.text("OIDC_SCOPES", "openid profile email", help="What the provider is asked for")
OIDC_RP_SIGN_ALGO = env.text(
    "OIDC_SIGNING_ALGORITHM",
    "RS256",
    choices=["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"],
    help="How the provider signs its tokens",
)
OIDC_GROUPS_CLAIM = env.text("OIDC_GROUPS_CLAIM", "groups", help="The claim that names a person's groups")
OIDC_GROUPS = oidc.groups_from(
    env.words("OIDC_GROUPS", help="Who may log in as what, such as it-ops=Operators,it-heads=Managers")
)
OIDC_SUPERUSER_GROUP = env.text(
    "OIDC_SUPERUSER_GROUP", help="The provider's group whose members may do everything here; none: nobody by it"
)
if OIDC_ISSUER:
    oidc.check(OIDC_ISSUER, OIDC_RP_CLIENT_ID, OIDC_GROUPS or OIDC_SUPERUSER_GROUP)
    INSTALLED_APPS = [*INSTALLED_APPS, "mozilla_django_oidc"]  # noqa: F405 - from fixed_settings
    AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend", "jobs.auth.oidc.StaffBackend"]
    OIDC_AUTHENTICATE_CLASS, OIDC_CALLBACK_CLASS = "jobs.auth.oidc.Begin", "jobs.auth.oidc.Callback"
    OIDC_USE_PKCE = True
OIDC_TIMEOUT = 10  # seconds for each answer of the provider

SILENCED_SYSTEM_CHECKS = [
    # HSTS holds for the name that is served. Its subdomains, and browsers' preload lists, are the domain owner's to
    # decide: the header cannot be taken back for a year.
    "security.W005",
    "security.W021",
    *env.words("SILENCED_SYSTEM_CHECKS", help="Warnings of manage.py check that do not apply here, such as jobs.W002"),
]

# --- Webhooks ---------------------------------------------------------------------------------------------------------
_given_webhook_secrets = env.words(
    "WEBHOOK_SECRET",
    help="whsec_ and base64: signs webhooks; old ones after a comma; unset: derived from SECRET_KEY, or made and kept",
)
WEBHOOK_ALLOW_PRIVATE = env.flag(
    "WEBHOOK_ALLOW_PRIVATE", False, help="Webhooks and image_url may reach private and loopback addresses"
)
WEBHOOK_TIMEOUT_SECONDS = env.number(
    "WEBHOOK_TIMEOUT_SECONDS", 15, minimum=0.1, maximum=120, help="Time limit for one delivery of a webhook"
)

# --- Logs -------------------------------------------------------------------------------------------------------------
LOG_FORMAT = env.text("LOG_FORMAT", "text", choices=["text", "json"], help="Format of the log lines on standard error")
LOG_LEVEL = env.text(
    "LOG_LEVEL", "INFO", choices=["DEBUG", "INFO", "WARNING", "ERROR"], help="Lowest level that is logged"
)
LOGGING = logging_from(LOG_FORMAT, LOG_LEVEL)

# --- Audit log --------------------------------------------------------------------------------------------------------
AUDIT_DAYS = env.integer(
    "AUDIT_DAYS", 365, minimum=30, maximum=36_500, help="How long entries of the audit log are kept"
)
AUDIT_DOWNLOADS = env.flag("AUDIT_DOWNLOADS", True, help="The audit log has an entry for each download")

# --- Secrets ----------------------------------------------------------------------------------------------------------
# Last, since this may write secrets: when a setting above is refused, no data directory is left behind.
WEBHOOK_SECRETS = webhook_secrets_for(DATA_DIR, _given_webhook_secrets, _given_secret_key)
SECRET_KEY = secret_key_for(DATA_DIR, _given_secret_key)
TRACES_ENDPOINT = traces.endpoint_from(
    env.text(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        help="Send traces to this OpenTelemetry collector, such as http://127.0.0.1:4318; needs upscaler[otel]",
    )
)
ACCESS_LOG = env.flag("ACCESS_LOG", False, help="One log line per HTTP request")
METRICS_ACCESS = env.text(
    "METRICS_ACCESS",
    "private",
    choices=["private", "open", "closed"],
    help="Who may read /metrics: private addresses, all, nobody",
)
METRICS_TOKEN = env.text(
    "METRICS_TOKEN", help="Bearer token that /metrics requires; when set, METRICS_ACCESS does not matter"
)

# --- Database ---------------------------------------------------------------------------------------------------------
DATABASES = {
    "default": database_from(
        env.text("DATABASE_URL", help="postgresql://user:password@host:5432/name; unset: the embedded Postgres"),
        env.text("DATABASE_PASSWORD", help="Password for a DATABASE_URL that has none"),
    )
}
DATABASE_TIMEOUT_SECONDS = env.number(
    "DATABASE_TIMEOUT_SECONDS",
    15,
    minimum=2,
    maximum=600,
    help="Time limit for the database's answer; then a request fails with 503",
)

# --- Messages between processes ---------------------------------------------------------------------------------------
BROKER = broker_from(
    env.text(
        "BROKER_URL",
        help="redis://user:password@host:6379/0, rediss:// or unix://: messages go over this Redis; unset: over Postgres",
    ),
    env.text(
        "BROKER_PREFIX",
        "upscaler",
        pattern=r"[\w.:-]{1,64}",
        help="1 to 64 letters, digits or . : - _: how this service's channels begin in a Redis that others use as well",
    ),
)
if BROKER:
    # Without LISTEN nothing needs a session, so DATABASE_URL may lead through a pooler in transaction mode. Through one,
    # a cursor of the server is not there any more when its next rows are asked for.
    DATABASES["default"]["DISABLE_SERVER_SIDE_CURSORS"] = True
