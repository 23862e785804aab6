"""The engine on a CUDA device, or on a pretended one as far as that goes.

Run alone, these tests need no Django: `python -m pytest tests/gpu`.
"""
