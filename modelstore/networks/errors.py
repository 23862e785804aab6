"""Errors of weights files. Importing this never imports torch."""


class NetworkError(Exception):
    """The root of this room's errors; messages are fit to be shown to the user. Trying again helps none of them."""


class CheckpointUnreadable(NetworkError):
    """The file is missing, truncated, or neither a torch checkpoint nor a safetensors file."""


class CheckpointChanged(NetworkError):
    """The bytes that were read are not those that were accepted: the file was damaged or replaced since."""


class CheckpointUnsafe(NetworkError):
    """The file would execute code, or claims more memory than it holds."""


class ArchitectureUnknown(NetworkError):
    """The tensors are not those of a network that we can build: the message says what is missing or left over."""


class FamilyUnknown(ArchitectureUnknown):
    """No family that is known here takes the tensors, not even nearly."""


class WeightsNotFinite(NetworkError):
    """A tensor holds NaN or infinity: the file is damaged or its training diverged."""


class BlendMismatch(NetworkError):
    """Two files that should be mixed are not of one and the same network."""
