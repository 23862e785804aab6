"""The share of the time in which a device computes, while its worker decodes, encodes and stores, side by side.

    python -m benchmarks.pipeline [--beside ../main] [--pictures 200] [--ms 30] [--megapixels 1] [--scale 1]
    python -m benchmarks.pipeline --model bundled-compact-x4 --pictures 20 --megapixels 0.25 --scale 4

The device is one that only takes its time (benchmarks/noop/fake_device.py): --ms for each picture; with --model it is
this machine's own. Everything else is the service's: a cluster of one worker, an embedded Postgres, real files. Each
checkout has its own, and they take turns. "One after another" is this checkout with PIPELINE_MEMORY_MB=0.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import numpy as np
import psutil
from PIL import Image

REPOSITORY = Path(__file__).resolve().parent.parent


class Side:
    """A checkout with its Postgres, its driver and its cluster."""

    def __init__(
        self, name: str, checkout: Path, scratch: Path, url: str, device: dict[str, str], more: dict[str, str]
    ) -> None:
        self.name, self.log = name, scratch / "device.log"
        environment = os.environ | {
            "DATABASE_URL": url,
            "UPSCALER_DATA_DIR": str(scratch / "data"),
            "DJANGO_SETTINGS_MODULE": "fake_device",
            "PYTHONPATH": f"{checkout}:{REPOSITORY / 'benchmarks' / 'noop'}",
            "Q_CLUSTER_NAME": "gpu",
            "LOG_LEVEL": "WARNING",
            "FAKE_DEVICE_LOG": str(self.log),
            **device,
            **more,
        }
        self.driver = subprocess.Popen(
            [sys.executable, str(REPOSITORY / "benchmarks" / "noop" / "fake_device.py")],
            cwd=checkout, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.ask("prepare")
        self.cluster = subprocess.Popen(
            [sys.executable, "manage.py", "qcluster"], cwd=checkout, env=environment, start_new_session=True
        )

    def ask(self, *command: object) -> dict[str, float]:
        """Have the driver do something; its answer."""
        assert self.driver.stdin
        assert self.driver.stdout
        self.driver.stdin.write(json.dumps(command) + "\n")
        self.driver.stdin.flush()
        line = self.driver.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} broke")
        answer: dict[str, float] = json.loads(line)
        return answer

    def measure(self, pictures: int, source: Path, scale: int, written: str, model: str) -> dict[str, float]:
        """Stream the pictures; return the device's busy share and what it cost."""
        self.log.write_text("")
        before = self.cpu()
        done = self.ask("stream", pictures, str(source), scale, written, model)
        if done["completed"] != pictures:
            raise SystemExit(f"{self.name}: {done['completed']:.0f} of {pictures} jobs are completed")
        times = [tuple(map(float, line.split())) for line in self.log.read_text().splitlines()]
        busy, span = (sum(e - b for b, e in times), times[-1][1] - times[0][0]) if times else (done["infer"], 0.0)
        return {
            "device busy, %": 100 * busy / (span or done["seconds"]),
            "device ms per picture": 1000 * busy / pictures,
            "pictures a second": pictures / done["seconds"],
            "CPU ms per picture": 1000 * (self.cpu() - before) / pictures,
        }

    def cpu(self) -> float:
        """Return the processor seconds of the cluster so far."""
        root, total = psutil.Process(self.cluster.pid), 0.0
        for process in [root, *root.children(recursive=True)]:
            times = process.cpu_times()
            total += times.user + times.system
        return total

    def close(self) -> None:
        self.cluster.send_signal(signal.SIGTERM)
        try:
            self.cluster.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.cluster.pid, signal.SIGKILL)
            self.cluster.wait()
        if self.driver.stdin:
            self.driver.stdin.close()
        self.driver.wait(30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beside", type=Path, help="another checkout, of an older version")
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--ms", type=float, default=30.0, help="milliseconds that the device takes for a picture")
    parser.add_argument("--model", default="", help="instead: this model, on this machine's device")
    parser.add_argument("--megapixels", type=float, default=1.0)
    parser.add_argument("--scale", type=int, default=1)
    parser.add_argument("--format", default="jpeg")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    from upscaler_site.postgres.embedded import EmbeddedPostgres

    checkouts: dict[str, tuple[Path, dict[str, str]]] = {
        "this": (REPOSITORY, {}),
        "one after another": (REPOSITORY, {"PIPELINE_MEMORY_MB": "0"}),
    }
    if arguments.beside:
        checkouts["beside"] = (arguments.beside.resolve(), {})
    with tempfile.TemporaryDirectory(prefix="upscaler-bench-") as name, ExitStack() as stack:
        source = Path(name) / "picture.jpg"
        side_px = round((arguments.megapixels * 1e6) ** 0.5)
        grain = np.random.default_rng(1).integers(0, 255, (side_px // 8, side_px // 8, 3), np.uint8)
        Image.fromarray(grain).resize((side_px, side_px), Image.Resampling.BICUBIC).save(source, quality=90)
        sides = []
        for which, (checkout, more) in checkouts.items():
            scratch = Path(name) / which.replace(" ", "-")
            scratch.mkdir()
            for directory in (Path(name), scratch):
                directory.chmod(0o755)
            url = stack.enter_context(EmbeddedPostgres(scratch / "database"))
            device = {} if arguments.model else {"FAKE_DEVICE_MS": str(arguments.ms)}
            sides.append(Side(which, checkout, scratch, url, device, more))
            stack.callback(sides[-1].close)
        wanted = source, arguments.scale, arguments.format, arguments.model or "fake"
        for side in sides:
            side.measure(3, *wanted)  # all have started
        found = [[side.measure(arguments.pictures, *wanted) for side in sides] for _ in range(arguments.rounds)]
        print(f"{'':22}" + "".join(f"{side.name:>20}" for side in sides))
        for what in found[0][0]:
            figures = [median(round_[index][what] for round_ in found) for index in range(len(sides))]
            print(f"{what:22}" + "".join(f"{figure:20.1f}" for figure in figures))


if __name__ == "__main__":
    main()
