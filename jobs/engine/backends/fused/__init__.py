"""Fused 3x3 convolutions for NVIDIA cards: the networks in half precision, without a pass over memory per layer."""
