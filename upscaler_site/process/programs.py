"""The programs of the service, and the supervisor's configuration for them."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from upscaler_site.process import tree

#: Seconds beyond STOP_GRACE_SECONDS before a program is killed; each layer waits a little longer than the one below.
LAUNCHER_MARGIN = 3
SUPERVISOR_MARGIN = 4


@dataclass(frozen=True)
class Program:
    """One long-running command and what its environment has beside the service's."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


def web() -> Program:
    """Return the web server."""
    return Program("web", [sys.executable, "-m", "upscaler_site.web.server"])


def cluster(name: str, queue: str, environment: Mapping[str, str] | None = None) -> Program:
    """Return a django-q2 cluster that serves ``queue``."""
    command = [sys.executable, "-m", "upscaler_site.manage", "qcluster"]
    return Program(name, command, {"Q_CLUSTER_NAME": queue, **(environment or {})})


def inference_clusters(devices: Sequence[Mapping[str, str]]) -> list[Program]:
    """Return one cluster per entry of ``devices``, the environment that gives it its device."""
    found = []
    for number, device in enumerate(devices):
        # Inference allocates hundreds of megabytes at once: with huge pages, page faults cost up to three times less.
        environment = {"GLIBC_TUNABLES": os.environ.get("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")}
        made = cluster(f"gpu-{number}" if len(devices) > 1 else "gpu", "gpu", {**environment, **device})
        if (
            "DEVICE" in device and "DEVICE_FILE" in os.environ
        ):  # the two together are refused, and this one is done with
            made = replace(made, command=["/usr/bin/env", "-u", "DEVICE_FILE", *made.command])
        found.append(made)
    return found


def configuration(programs: Sequence[Program], *, run_dir: Path, base_dir: Path, grace_seconds: int) -> str:
    """Return supervisord.conf: everything restarts whenever it ends, all are told to stop at once.

    One group, because supervisord stops group after group, and three graces in a row would be too long. No exit code
    counts as expected, so that every end is logged as a warning. A program that keeps failing is tried again for
    ever, with growing pauses. There is no control socket: the service is steered by signals alone.
    """
    lines = [
        "[supervisord]",
        "nodaemon=true",
        "logfile=/dev/null",
        "logfile_maxbytes=0",
        "loglevel=warn",
        f"pidfile={_value(run_dir / 'supervisord.pid')}",
        f"childlogdir={_value(run_dir)}",
        *(["user=root"] if os.geteuid() == 0 else []),  # otherwise it warns that it runs as root
        "",
        "[group:upscaler]",
        f"programs={','.join(program.name for program in programs)}",
    ]
    launcher = [sys.executable, "-m", "upscaler_site.process.launcher", str(grace_seconds + LAUNCHER_MARGIN)]
    for program in programs:
        environment = {tree.PROGRAM_MARK: program.name, **program.environment}
        lines += [
            "",
            f"[program:{program.name}]",
            f"command={' '.join(_word(word) for word in [*launcher, *program.command])}",
            f"directory={_value(base_dir)}",
            f"environment={','.join(_setting(name, value) for name, value in environment.items())}",
            "autostart=true",
            "autorestart=true",
            "exitcodes=255",
            "startsecs=3",
            "startretries=1000000",
            "stopsignal=TERM",
            f"stopwaitsecs={grace_seconds + SUPERVISOR_MARGIN}",
            "stopasgroup=false",
            "killasgroup=true",
            "redirect_stderr=true",
            "stdout_logfile=/dev/fd/1",
            "stdout_logfile_maxbytes=0",
        ]
    return "\n".join([*lines, ""])


def _value(value: object) -> str:
    """Escape what supervisord would expand."""
    return str(value).replace("%", "%%")


def _setting(name: str, value: str) -> str:
    """Return one entry of ``environment``, where supervisord loses a closing single quote."""
    if "'" in value:
        raise ValueError(f"{name}={value} cannot be written into the supervisor's configuration")
    return f"{name}={_word(value)}"


def _word(value: object) -> str:
    """Quote one word of a command or of a setting's value."""
    text = _value(value)
    if '"' in text or "\n" in text:
        raise ValueError(f"{text!r} cannot be written into the supervisor's configuration")
    return f'"{text}"'
