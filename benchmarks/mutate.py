"""Damaged pictures of every format through probe, decode and encode: only errors of ours, bounded memory and time.

    python benchmarks/mutate.py --made [--count 5000] [--seed 1] [--limit-mb 2048] [--keep DIR]
    python benchmarks/mutate.py DIR …

Sources are made by the script (`made_pictures`) or read from a folder. Each damaged file has a process of its own with
a limit on its memory and a deadline. A fault is a crash, a hang, an exception that is no `EngineError`, a picture that
was read and cannot be written or read again, and a file under 1 MB that takes more than 10 s of processor. The exit
status is 1 where there was one; ``--keep`` stores these files.
"""

import argparse
import random
import sys
import tempfile
import time
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import child
from benchmarks.made_pictures import made
from jobs.engine.codec import decode, encode
from jobs.engine.codecs.open import sniff
from jobs.engine.codecs.probe import probe
from jobs.engine.errors import EngineError
from jobs.engine.types import EncodeOptions, Limits, OutputFormat

_LIMITS = Limits()
#: Larger pictures are decoded and not written: encoders take their time by size, whatever the bytes are.
_MOST_WRITTEN = 2_000_000
_MOST_SECONDS = 10.0
_DEADLINE_S = 60.0
_FORMATS: tuple[OutputFormat, ...] = ("auto", "auto", "png", "tiff", "webp", "jpeg", "avif")
_NUMBERS = (0, 1, 2, 7, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


@dataclass(frozen=True)
class Outcome:
    """The outcome of one file: read or refused, and the reason; ``wrong`` where that is a fault."""

    read: bool
    reason: str = ""
    wrong: bool = False


def mutated(data: bytes, other: bytes, rng: random.Random, *, png: bool) -> bytes:
    """Return a file with one to four damages; half of the PNG files get right checksums again, to be read further."""
    changed = bytearray(data)
    header = rng.random() < 0.6  # most of what decides stands in front
    for _ in range(rng.choice((1, 1, 1, 2, 2, 4))):
        if not changed:
            break
        at = rng.randrange(min(len(changed), 600) if header else len(changed))
        end = at + rng.choice((1, 2, 4, 8, 12, 40, 300))
        match rng.randrange(9):
            case 0:
                changed[at] ^= 1 << rng.randrange(8)
            case 1:
                changed[at] = rng.randrange(256)
            case 2 | 3:
                size = rng.choice((1, 2, 4))
                number = rng.choice(_NUMBERS) & ((1 << 8 * size) - 1)
                changed[at : at + size] = number.to_bytes(size, rng.choice(("little", "big")))
            case 4:
                del changed[at:end]
            case 5:
                changed[at:at] = changed[at:end] * rng.choice((1, 1, 2, 50))
            case 6:
                source = rng.randrange(max(1, len(other)))
                changed[at:end] = other[source : source + end - at]
            case 7:
                changed[at:at] = rng.randbytes(end - at)
            case _ if rng.random() < 0.3:
                del changed[at:]
    return _with_checksums(changed) if png and rng.random() < 0.5 else bytes(changed)


def _with_checksums(data: bytearray) -> bytes:
    """Write right CRCs into a PNG's chunks (PNG specification, 5.3), as far as these can be followed."""
    at = 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        end = at + 8 + length
        if end + 4 > len(data):
            break
        data[end : end + 4] = zlib.crc32(data[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(data)


def tried(path: Path, written: Path, target: OutputFormat) -> Outcome:
    """Probe, decode, encode and probe again; errors of ours are answers, of what is written, too, but not all."""
    try:
        probe(path, _LIMITS)
        picture = decode(path, _LIMITS)
    except EngineError as error:
        return Outcome(False, str(error), "too little memory" in str(error))
    if sum(frame.color.shape[0] * frame.color.shape[1] for frame in picture.frames) > _MOST_WRITTEN:
        return Outcome(True, "large")
    try:
        encode(picture, written, EncodeOptions(format=target))
    except EngineError as error:
        return Outcome(True, str(error), "cannot hold the result" not in str(error))
    try:
        probe(written, _LIMITS)
        decode(written, _LIMITS)
    except EngineError as error:
        return Outcome(True, f"our own {target} of it is refused: {error}", True)
    return Outcome(True)


def sources(folder: Path | None) -> dict[str, list[bytes]]:
    """Return files by format: made ones, or those of a folder up to 1 MB."""
    if folder is None:
        ended = child.call(made, 8192, 300)
        if ended.fault:
            raise SystemExit(f"the pictures could not be made: {ended.fault}")
        found: dict[str, list[bytes]] = ended.value
        return found
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.stat().st_size < 1_000_000 and (name := sniff((data := path.read_bytes())[:256])):
            found.setdefault(name, []).append(data)
    return found


def main() -> int:
    """Damage and try the files in turn, format by format; print the table; 1 where there was a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--made", action="store_true", help="damage pictures that the script makes")
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit-mb", type=int, default=2048)
    parser.add_argument("--keep", type=Path)
    arguments = parser.parse_args()
    if arguments.made == bool(arguments.folder):
        parser.error("either a folder or --made")
    return campaign(
        sources(arguments.folder), arguments.count, arguments.seed, limit_mb=arguments.limit_mb, keep=arguments.keep
    )


def campaign(
    files: dict[str, list[bytes]], count: int, seed: int, *, limit_mb: int = 2048, keep: Path | None = None
) -> int:
    """Try ``count`` damaged files and print what they came to; return 1 where there was a fault, else 0."""
    rng = random.Random(seed)
    names = sorted(files)
    ends: Counter[tuple[str, str]] = Counter()
    faults: Counter[str] = Counter()
    memory = processor = (0.0, "")
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path, written = Path(folder) / "in", Path(folder) / "out"
        for number in range(count):
            name = names[number % len(names)]
            data = mutated(rng.choice(files[name]), rng.choice(files[name]), rng, png=name == "png")
            path.write_bytes(data)
            written.unlink(missing_ok=True)
            target = rng.choice(_FORMATS)
            ended = child.call(lambda target=target: tried(path, written, target), limit_mb, _DEADLINE_S)  # type: ignore[misc] # mypy sees no default of a lambda
            shown = f"{number}.{name} to {target}"
            memory = max(memory, (ended.memory_mb, shown))
            processor = max(processor, (ended.processor_s, shown))
            fault = _fault(ended, len(data))
            ends[name, "fault" if fault else "read" if ended.value.read else "refused"] += 1
            if fault:
                faults[f"{name}: {fault}"] += 1
                print(f"{shown}: {fault}", flush=True)
                if keep:
                    keep.mkdir(parents=True, exist_ok=True)
                    (keep / f"{seed}-{number}-{target}.{name}").write_bytes(data)
    print(f"{count} files, seed {seed}, {time.perf_counter() - start:.0f} s, {sum(faults.values())} faults")
    print(
        f"largest memory {memory[0]:.0f} MB ({memory[1]}), slowest {processor[0]:.1f} s of processor ({processor[1]})"
    )
    for name in names:
        print(f"{name:5} " + ", ".join(f"{ends[name, end]} {end}" for end in ("read", "refused", "fault")))
    for fault, times in faults.most_common():
        print(f"{times:5d} {fault}")
    return 1 if faults else 0


def _fault(ended: child.Ended, size: int) -> str | None:
    """Return what is wrong with how a file of that many bytes ended, or None."""
    if ended.fault:
        return " / ".join(line.strip() for line in ended.fault.strip().splitlines()[-3:])
    outcome: Outcome = ended.value
    if outcome.wrong:
        return outcome.reason
    if size < 1_000_000 and ended.processor_s > _MOST_SECONDS:
        return f"{ended.processor_s:.0f} s of processor for {size} bytes"
    return None


if __name__ == "__main__":
    sys.exit(main())
