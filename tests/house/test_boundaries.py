"""What the web process loads: nothing that computes."""

import subprocess
import sys

from tests.jobs.clusters import REPOSITORY


def test_the_web_process_never_imports_what_computes() -> None:
    script = """
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "upscaler_site.settings")
from upscaler_site.wsgi import application
from django.urls import get_resolver
get_resolver().url_patterns
import jobs.submission.submit, jobs.progress.hub, jobs.storage.retention, jobs.queue.sweeper
print([name for name in ("torch", "cv2", "openvino", "realesrgan") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
