"""The room's promises to the web process."""

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PROGRAM = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "upscaler_site.settings"
import django
django.setup()
import modelstore.views, modelstore.urls, modelstore.admin, modelstore.tasks
import modelstore.downloads.runner, modelstore.imports.importing
heavy = {"torch", "cv2", "openvino", "safetensors"} & set(sys.modules)
sys.exit(f"imported: {heavy}" if heavy else 0)
"""


def test_neither_the_web_process_nor_the_io_worker_imports_torch() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
