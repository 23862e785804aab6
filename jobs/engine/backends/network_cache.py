"""A cache of loaded networks for one runtime: the least recently used is dropped first when memory is short."""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from jobs.engine.backends.base import Network
from jobs.engine.backends.device import ComputeDevice, cpu_has_bf16, resolve
from jobs.engine.backends.selection.kept import Kept
from jobs.engine.errors import OutOfMemory, PrecisionUnavailable, WeightsDamaged, WeightsRejected
from jobs.engine.types import Precision, Runtime, Weights
from modelstore.networks.checkpoint import load, load_blend
from modelstore.networks.errors import CheckpointChanged, NetworkError
from modelstore.networks.spec import NetworkSpec


@dataclass(frozen=True)
class _Key:
    """The identity of a loaded network; a file replaced under its name differs in digest, or in size and time."""

    files: tuple[tuple[str, str, int, int], ...]
    blend: float
    place: ComputeDevice
    free: bool  # to be in another precision


class NetworkPool:
    """The cache, owned by one worker process and used by one thread of it.

    Make it after the fork: CUDA does not survive one.
    """

    def __init__(
        self, runtime: Runtime, max_bytes: int = 2_000_000_000, *, graphs: bool = True, fused: bool = True
    ) -> None:
        """:param max_bytes: weights kept at most; the network in use always stays.

        :param graphs: on CUDA, record calls that come again as CUDA graphs.
        :param fused: on CUDA, compute fp16 by fused convolutions where these can.
        """
        self.runtime = runtime
        self.max_bytes = max_bytes
        self.graphs = graphs
        self.fused = fused
        self._networks: OrderedDict[_Key, Network] = OrderedDict()
        self._given_up: set[tuple[object, ...]] = set()
        self._kept = Kept(runtime.measurements)

    def place(self, precision: Precision | None = None) -> ComputeDevice:
        """Return what "auto" means now. :raises DeviceUnavailable: when this machine does not have the runtime."""
        return resolve(self.runtime, precision)

    def get(self, weights: Weights, precision: Precision | None = None) -> Network:
        """Return the network, loaded and checked on first use.

        :raises WeightsDamaged: when the file's bytes do not have the digest that ``weights`` names.
        :raises WeightsRejected: when the file holds no network that we accept.
        :raises DeviceUnavailable: when this machine does not have the runtime.
        :raises OutOfMemory: when the device has no room for the weights even after all other networks were dropped.
        """
        if self.gave_up(weights):
            precision = "fp32"
        place = self.place(precision)
        free = (precision or self.runtime.precision) == "auto" and place.accelerator is None
        key = _key(weights, place, free=free)
        network = self._networks.get(key)
        named = precision not in (None, "auto") and not self.gave_up(weights)
        if network is not None and named and network.place.precision != place.precision:
            # Loaded for a job that asked for nothing, in what the network bears.
            raise PrecisionUnavailable(f"{network.place.choice}; use {network.place.precision}")
        if network is None:
            network = self._load(weights, place, bf16=free and cpu_has_bf16(), named=named)
            self._networks[key] = network
        self._networks.move_to_end(key)
        while len(self._networks) > 1 and self.weight_bytes > self.max_bytes:
            self._forget_oldest()
        return network

    def give_up(self, weights: Weights) -> None:
        """Give up reduced precision for a network that always overflows: from now on `get` returns it in fp32."""
        self._given_up.add(_identity(weights))

    def gave_up(self, weights: Weights) -> bool:
        """Return True if reduced precision was given up for a network."""
        return _identity(weights) in self._given_up

    def release(self) -> bool:
        """Make every network give back memory that it can do without. Return True if any held some."""
        released = [network.release() for network in self._networks.values()]
        return any(released)

    @property
    def weight_bytes(self) -> int:
        """Bytes of weights held now."""
        return sum(network.weight_bytes for network in self._networks.values())

    def __len__(self) -> int:
        return len(self._networks)

    def clear(self) -> None:
        """Drop all networks."""
        while self._networks:
            self._forget_oldest()

    def _load(self, weights: Weights, place: ComputeDevice, *, bf16: bool, named: bool) -> Network:
        try:
            return self._read(weights, place, bf16=bf16, named=named)
        except OutOfMemory:
            if not self._networks:
                raise
        # Outside of the handler: the error's traceback holds on to what was loaded of the network.
        self.clear()
        return self._read(weights, place, bf16=bf16, named=named)

    def _read(self, weights: Weights, place: ComputeDevice, *, bf16: bool, named: bool) -> Network:
        """:param bf16: whether it is there and may be chosen. :param named: whether the job asked for the precision.

        :raises OutOfMemory: the device has no room for the weights beside what it holds.
        """
        network, spec = _checked(weights)
        on_cpu = place.accelerator is None and place.precision == "fp32"
        if spec.traits is not None and not (on_cpu and self.runtime.backend == "auto"):
            from jobs.engine.backends.foreign import foreign  # noqa: PLC0415 - as the others below

            return foreign(network, spec, place, runtime=self.runtime, named=named)
        choice = bf16 or self.runtime.backend in ("auto", "winograd")
        if on_cpu and choice:
            from jobs.engine.backends.selection.select import select  # noqa: PLC0415 - CPUs only

            digest = "+".join(sha256 for _, sha256 in weights.files) + f"@{weights.blend:g}"
            return select(
                network, spec, place, self.runtime.backend, bf16=bf16, kept=self._kept,
                digest=digest if all(sha256 for _, sha256 in weights.files) else "",
            )  # fmt: skip
        if place.backend == "openvino":
            from jobs.engine.backends.openvino_backend import OpenVinoNetwork  # noqa: PLC0415 - may be absent

            return OpenVinoNetwork(network, spec, place)
        if place.backend == "vulkan":
            from jobs.engine.backends.vulkan.network import VulkanNetwork  # noqa: PLC0415 - as above

            return VulkanNetwork(network, spec, place)
        from jobs.engine.backends.torch_backend import TorchNetwork  # noqa: PLC0415 - as above

        return TorchNetwork(network, spec, place, graphs=self.graphs, fused=self.fused)

    def _forget_oldest(self) -> None:
        _, network = self._networks.popitem(last=False)
        accelerator = network.place.accelerator
        # A caller that still uses it keeps it alive; its CUDA graphs are recorded again if need be.
        network.release()
        del network
        if accelerator is not None:
            accelerator.give_back()


def _key(weights: Weights, place: ComputeDevice, *, free: bool) -> _Key:
    return _Key(*_identity(weights), place=place, free=free)


def _identity(weights: Weights) -> tuple[tuple[tuple[str, str, int, int], ...], float]:
    return tuple(_stamp(*file) for file in weights.files), weights.blend


def _stamp(path: Path, sha256: str) -> tuple[str, str, int, int]:
    try:
        stat = path.stat()
    except OSError as error:
        raise WeightsRejected(f"the weights file {path.name} cannot be read: {error.strerror}") from error
    return (str(path), sha256, stat.st_size, stat.st_mtime_ns)


@contextmanager
def weights_errors() -> Iterator[None]:
    """Turn the errors of reading a weights file into the engine's errors."""
    try:
        yield
    except CheckpointChanged as error:
        raise WeightsDamaged(str(error)) from error
    except NetworkError as error:
        raise WeightsRejected(str(error)) from error


def _checked(weights: Weights) -> tuple[nn.Module, NetworkSpec]:
    """Return the network of one or two files, fp32, on the CPU."""
    (path, sha256), *second = weights.files
    with weights_errors():
        if second:
            return load_blend(path, second[0][0], weights.blend, sha256=(sha256, second[0][1]))
        return load(path, sha256=sha256, spec=weights.spec)
