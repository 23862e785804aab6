"""What the processes load that do not compute: nothing that computes."""

import subprocess
import sys

import pytest

from tests.service import REPOSITORY

pytestmark = pytest.mark.processes

WEB = """
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "upscaler_site.settings")
from upscaler_site.wsgi import application
from django.urls import get_resolver
get_resolver().url_patterns
import jobs.submission.submit, jobs.progress.hub, jobs.storage.retention, jobs.queue.sweeper
"""
IO_WORKER = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "upscaler_site.settings"
import django
django.setup()
import modelstore.views, modelstore.urls, modelstore.admin, modelstore.tasks
import modelstore.downloads.runner, modelstore.imports.importing
"""
COMPUTING = """
print([name for name in ("torch", "cv2", "openvino", "safetensors", "realesrgan") if name in sys.modules])
"""


@pytest.mark.parametrize("program", [WEB, IO_WORKER], ids=["web", "io worker"])
def test_who_does_not_compute_never_imports_what_computes(program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program + COMPUTING],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
