"""Ways to compute: PyTorch, OpenVINO and the original package behind one protocol, and the devices they run on."""
