"""The kernels in a wheel, the service's (`pip wheel .`) or the engine's (`pip wheel ./engine`): compiled with it.

The wheel says for which machines it is. Hatchling calls this, as pyproject.toml tells it; nothing else does. A machine
without a C compiler makes the wheel for any machine, without kernels: the engine computes by OpenVINO or torch then.
"""

import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_SOURCE = Path(__file__).resolve().parents[4]
#: The engine's files, which its own pyproject.toml, in another folder, cannot name.
_ENGINE = ("jobs/__init__.py", "jobs/engine", "modelstore/__init__.py", "modelstore/networks")


class KernelsHook(BuildHookInterface[Any]):
    """Compiles the kernels into a scratch folder, from which the wheel takes them."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the libraries to the wheel's files, and the platform to its name.

        :param version: "standard" for a wheel, "editable" for an installation in place, which has its own kernels.
        """
        sys.path.insert(0, str(_SOURCE))
        from jobs.engine.backends.winograd import build, variants  # noqa: PLC0415 - from the source that is built

        if version == "editable":
            return
        if self.config.get("engine-alone"):
            build_data["force_include"] |= {str(file): file.relative_to(_SOURCE).as_posix() for file in _engine_files()}
        self._scratch = tempfile.TemporaryDirectory(prefix="winograd-")
        folder = Path(self._scratch.name)
        try:
            self.app.display_info(build.build(folder))
        except build.BuildFailed as error:
            self.app.display_warning(f"Note: a wheel without winograd kernels: {error}")
            return
        inside = variants.FOLDER.relative_to(_SOURCE).as_posix()
        build_data["force_include"] |= {str(file): f"{inside}/{file.name}" for file in sorted(folder.iterdir())}
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002 - hatchling's
        """Delete the scratch folder."""
        if hasattr(self, "_scratch"):
            self._scratch.cleanup()


def _engine_files() -> list[Path]:
    """Return what the engine's wheel consists of, without what was compiled, cached or is for its making alone."""
    found = [
        file for each in _ENGINE for file in ([_SOURCE / each] if each.endswith(".py") else (_SOURCE / each).rglob("*"))
    ]
    return sorted(
        file
        for file in set(found) - {Path(__file__).resolve()}
        if file.is_file() and not {"__pycache__", "built"} & set(file.parts)
    )
