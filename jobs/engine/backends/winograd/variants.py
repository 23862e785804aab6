"""The kernels' source, the ways to compile it, and where the libraries lie. Importing this never imports torch."""

import hashlib
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("kernels.c")
#: Beside the package, and ignored by git: a library is made for the machine that builds it.
FOLDER = Path(__file__).with_name("built")


@dataclass(frozen=True)
class Variant:
    """One way to compile the kernels. ``needs`` are names of `torch.cpu.get_capabilities`."""

    name: str
    flags: tuple[str, ...]
    needs: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """The name of its library."""
        return f"winograd-{self.name}{'.dylib' if sys.platform == 'darwin' else '.so'}"


#: By architecture, the best first.
_VARIANTS = {
    "x86_64": (
        Variant(
            "avx512",
            ("-mavx2", "-mfma", "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mprefer-vector-width=512"),
            ("avx512_f", "avx512_bw", "avx512_dq", "avx512_vl", "fma3"),
        ),
        Variant("avx2", ("-mavx2", "-mfma"), ("avx2", "fma3")),
        Variant("sse2", ()),
    ),
    "aarch64": (Variant("neon", ()),),
}
_ALIASES = {"amd64": "x86_64", "arm64": "aarch64"}


def variants() -> tuple[Variant, ...]:
    """Return the variants of this machine's architecture, the best first; none where we have no kernels for it."""
    machine = platform.machine().lower()
    return _VARIANTS.get(_ALIASES.get(machine, machine), ())


def digest() -> str:
    """Return the SHA-256 of the source with its headers, in hex; every library carries that of its own."""
    files = sorted(SOURCE.parent.glob("*.[ch]"))
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()
