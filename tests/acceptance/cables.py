"""Hosts in network namespaces: machines of their own, as far as the network goes. Wants Linux, root and iproute2."""

import itertools
import os
import shutil
import subprocess

#: An address of this machine that every such host reaches, over its own cable.
HERE = "10.213.0.1"
_numbers = itertools.count(1)


def can_be_laid() -> bool:
    """Whether this user may make network namespaces here."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    name = f"probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode == 0
    if made:
        ip("netns", "del", name)
    return made


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Cable:
    """A namespace and the cable to it; ``prefix`` goes before the command that is to run there."""

    def __init__(self) -> None:
        number = next(_numbers)
        self.name = f"up{os.getpid() % 100_000}-{number}"
        self.end, self.far_end = f"a{os.getpid() % 100_000}-{number}", f"b{os.getpid() % 100_000}-{number}"
        self.near, self.address = f"10.213.{number}.1", f"10.213.{number}.2"
        self.prefix = ["ip", "netns", "exec", self.name]
        ip("netns", "add", self.name)
        ip("link", "add", self.end, "type", "veth", "peer", "name", self.far_end, "netns", self.name)
        ip("addr", "replace", f"{HERE}/32", "dev", "lo")
        ip("addr", "add", f"{self.near}/30", "dev", self.end)
        ip("link", "set", self.end, "up")
        ip("-n", self.name, "link", "set", "lo", "up")
        ip("-n", self.name, "addr", "add", f"{self.address}/30", "dev", self.far_end)
        ip("-n", self.name, "link", "set", self.far_end, "up")
        ip("-n", self.name, "route", "add", "default", "via", self.near)

    def cut(self) -> None:
        """Pull it out: packets of either side go nowhere."""
        ip("link", "set", self.end, "down")

    def remove(self) -> None:
        """Take everything away."""
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True, check=False)
        subprocess.run(["ip", "link", "del", self.end], capture_output=True, check=False)
        subprocess.run(["ip", "addr", "del", f"{HERE}/32", "dev", "lo"], capture_output=True, check=False)
