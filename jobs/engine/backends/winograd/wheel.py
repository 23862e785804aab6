"""The kernels in the engine's wheel: `pip wheel .` compiles them, and the wheel says for which machines it is.

Hatchling calls this, as pyproject.toml tells it; nothing else does. A machine without a C compiler makes the wheel for
any machine, without kernels: the engine computes by OpenVINO or torch then.
"""

import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class KernelsHook(BuildHookInterface[Any]):
    """Compiles the kernels into a scratch folder, from which the wheel takes them."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the libraries to the wheel's files, and the platform to its name.

        :param version: "standard" for a wheel, "editable" for an installation in place, which has its own kernels.
        """
        sys.path.insert(0, self.root)
        from jobs.engine.backends.winograd import build, variants  # noqa: PLC0415 - from the source that is built

        if version == "editable":
            return
        self._scratch = tempfile.TemporaryDirectory(prefix="winograd-")
        folder = Path(self._scratch.name)
        try:
            self.app.display_info(build.build(folder))
        except build.BuildFailed as error:
            self.app.display_warning(f"Note: a wheel without winograd kernels: {error}")
            return
        inside = variants.FOLDER.relative_to(self.root).as_posix()
        build_data["force_include"] |= {str(file): f"{inside}/{file.name}" for file in sorted(folder.iterdir())}
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002 - hatchling's
        """Delete the scratch folder."""
        if hasattr(self, "_scratch"):
            self._scratch.cleanup()
