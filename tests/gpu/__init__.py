"""What only a CUDA device can show. Run alone, these tests need no Django: `python -m pytest tests/gpu`."""
