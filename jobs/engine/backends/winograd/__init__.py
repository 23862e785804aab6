"""Convolutions on CPUs by Winograd's minimal filtering: our own kernels in C, built by `build.py`, in fp32."""
