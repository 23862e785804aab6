"""No family of processes outlives its main process, its launcher, or its supervisor."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.eventually import eventually
from tests.processes import has_ended
from tests.service import REPOSITORY
from upscaler_site.process import programs, tree
from upscaler_site.process.programs import Program

pytestmark = pytest.mark.processes

#: A main process with two children. It writes "TERM" to the file named first when it gets SIGTERM, and then leaves
#: (mode "polite") or stays (mode "deaf"). Its children write "CHILD" when they get SIGTERM.
FAMILY = """
import os, signal, sys, time
log, mode = sys.argv[1], sys.argv[2]
def write(word):
    with open(log, "a") as file:
        file.write(word + "\\n")
for _ in range(2):
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, lambda *_: write("CHILD"))
        while True:
            time.sleep(60)
def stop(*_):
    write("TERM")
    if mode == "polite":
        os._exit(0)
signal.signal(signal.SIGTERM, stop)
write("UP")
while True:
    time.sleep(60)
"""


class Family:
    """A launcher and what it launched."""

    def __init__(self, directory: Path, mode: str, grace: float) -> None:
        self.directory = directory
        self.log = directory / "family.log"
        self.command = [sys.executable, "-m", "upscaler_site.process.launcher", str(grace), *self.main_command(mode)]
        self.launcher = self.launch()

    def main_command(self, mode: str) -> list[str]:
        return [sys.executable, "-c", FAMILY, str(self.log), mode]

    def launch(self) -> subprocess.Popen[bytes]:
        marks = {tree.SERVICE_MARK: str(self.directory), tree.PROGRAM_MARK: "family"}
        before = self.words().count("UP")
        launcher = subprocess.Popen(self.command, cwd=REPOSITORY, env={**os.environ, **marks}, process_group=0)
        eventually(lambda: self.words().count("UP") > before, say="the start of the family")
        return launcher

    def words(self) -> list[str]:
        return self.log.read_text().split() if self.log.exists() else []

    def members(self) -> list[psutil.Process]:
        return [process for process in tree.of_service(self.directory) if process.pid != self.launcher.pid]

    def main(self) -> psutil.Process:
        (main,) = psutil.Process(self.launcher.pid).children()
        return main


@pytest.fixture
def family(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Family]:
    mode, grace = getattr(request, "param", ("polite", 30))
    made = Family(tmp_path, mode, grace)
    yield made
    if made.launcher.poll() is None:
        made.launcher.kill()
    tree.kill(tree.of_service(tmp_path))
    made.launcher.wait()


def test_a_stop_is_told_to_the_main_process_alone_and_nothing_is_left(family: Family) -> None:
    assert len(family.members()) == 3
    family.launcher.terminate()
    assert family.launcher.wait(240) == 0
    assert family.members() == []
    assert family.words() == ["UP", "TERM"]


def test_a_killed_main_process_takes_its_children_along(family: Family) -> None:
    family.main().kill()
    assert family.launcher.wait(240) == 128 + signal.SIGKILL
    assert family.members() == []


@pytest.mark.parametrize("family", [("deaf", 0.5)], indirect=True)
def test_a_deaf_family_is_killed_after_the_grace(family: Family) -> None:
    family.launcher.terminate()
    assert family.launcher.wait(240) == 0
    assert family.members() == []
    assert family.words() == ["UP", "TERM"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has died")
def test_a_killed_launcher_stops_its_main_process(family: Family) -> None:
    family.launcher.kill()
    family.launcher.wait()
    eventually(lambda: "TERM" in family.words(), say="the signal to the main process")


@pytest.mark.parametrize("family", [("deaf", 0.5)], indirect=True)
def test_the_next_launcher_clears_what_a_killed_one_left(family: Family) -> None:
    family.launcher.kill()
    family.launcher.wait()
    old = family.members()
    assert old
    family.launcher = family.launch()
    assert all(map(has_ended, old))
    assert len(family.members()) == 3


#: Beats five times a second; its child does nothing.
BEATING = """
import os, sys, time
from jobs.queue.keepalive import Keepalive
if os.fork() == 0:
    time.sleep(600)
heart = Keepalive()
open(sys.argv[1], "a").write("UP\\n")
while True:
    heart.beat()
    time.sleep(0.2)
"""


def test_a_frozen_main_process_is_killed_with_its_family_and_one_that_beats_is_not(tmp_path: Path) -> None:
    log = tmp_path / "family.log"
    impatient = (
        "import sys; from upscaler_site.process import launcher; launcher.SILENT_SECONDS = 3.0; "
        "sys.exit(launcher.Launcher(sys.argv[1:], 30).run())"
    )
    command = [sys.executable, "-c", impatient, sys.executable, "-c", BEATING, str(log)]
    environment = {**os.environ, tree.SERVICE_MARK: str(tmp_path), tree.PROGRAM_MARK: "family"}
    process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        eventually(lambda: log.exists() and "UP" in log.read_text(), say="the start of the family")
        (main,) = psutil.Process(process.pid).children()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(6)  # twice as long as one may be silent
        main.suspend()
        _, said = process.communicate(timeout=240)
        assert process.returncode == 128 + signal.SIGKILL
        assert f"(pid {main.pid}) has been silent for 3 s: it is killed" in said
        eventually(lambda: tree.of_service(tmp_path) == [], say="the end of the family")
    finally:
        process.kill()
        tree.kill(tree.of_service(tmp_path))


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """supervisord with two families, "one" polite and "two" that never stops by itself."""
    script = tmp_path / "50 % family.py"
    script.write_text(FAMILY)
    wanted = [
        Program("one", [sys.executable, str(script), str(tmp_path / "one.log"), "polite"], {"SAYS": "100%, yes"}),
        Program("two", [sys.executable, str(script), str(tmp_path / "two.log"), "deaf"]),
    ]
    configuration = tmp_path / "supervisord.conf"
    configuration.write_text(programs.configuration(wanted, run_dir=tmp_path, base_dir=REPOSITORY, grace_seconds=1))
    process = subprocess.Popen(
        [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(configuration)],
        env={**os.environ, tree.SERVICE_MARK: str(tmp_path)},
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    eventually(lambda: all((tmp_path / f"{name}.log").exists() for name in ("one", "two")), say="the start of both")
    yield process
    if process.poll() is None:
        process.kill()
    tree.kill(tree.of_service(tmp_path))
    process.communicate()


def members(directory: Path, program: str) -> list[psutil.Process]:
    """The family without its launcher."""
    return [p for p in tree.of_service(directory, program) if "upscaler_site.process.launcher" not in p.cmdline()]


def test_the_supervisor_stops_all_families_and_leaves_nothing(
    supervisor: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    assert members(tmp_path, "one")[0].environ()["SAYS"] == "100%, yes"
    supervisor.terminate()
    supervisor.communicate(timeout=240)
    assert tree.of_service(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_supervisor_starts_again_whatever_ends(
    supervisor: subprocess.Popen[bytes], tmp_path: Path, number: signal.Signals
) -> None:
    old = members(tmp_path, "one")
    (main,) = [p for p in old if p.ppid() not in {other.pid for other in old}]
    main.send_signal(number)
    eventually(lambda: (tmp_path / "one.log").read_text().count("UP") == 2, say="the second start")
    assert not {p.pid for p in old} & {p.pid for p in members(tmp_path, "one")}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere launchers find out by polling")
def test_a_killed_supervisor_takes_everything_along(supervisor: subprocess.Popen[bytes], tmp_path: Path) -> None:
    supervisor.kill()
    supervisor.wait()
    eventually(lambda: tree.of_service(tmp_path) == [], say="the end of both families")


def test_a_launcher_notices_that_its_parent_is_gone_even_without_the_kernels_word(tmp_path: Path) -> None:
    """What macOS relies on: the launcher looks for its parent."""
    log = tmp_path / "family.log"
    parent = "import subprocess, sys, time; subprocess.Popen(sys.argv[1:]); time.sleep(600)"
    command = [
        sys.executable,
        "-m",
        "upscaler_site.process.launcher",
        "5",
        sys.executable,
        "-c",
        FAMILY,
        str(log),
        "polite",
    ]
    environment = {**os.environ, tree.SERVICE_MARK: str(tmp_path), tree.PROGRAM_MARK: "family"}
    process = subprocess.Popen([sys.executable, "-c", parent, *command], cwd=REPOSITORY, env=environment)
    try:
        eventually(lambda: log.exists() and "UP" in log.read_text(), say="the start of the family")
        process.kill()
        process.wait()
        eventually(lambda: tree.of_service(tmp_path) == [], say="the end of the family")
    finally:
        process.kill()
        tree.kill(tree.of_service(tmp_path))


@pytest.mark.parametrize("program", [Program("one", ['say "hi"']), Program("one", ["say"], {"WHAT": "it's"})])
def test_words_that_the_configuration_cannot_hold_are_refused(program: Program, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be written"):
        programs.configuration([program], run_dir=tmp_path, base_dir=REPOSITORY, grace_seconds=1)
