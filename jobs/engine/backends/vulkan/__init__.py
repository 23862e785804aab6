"""The Vulkan backend: networks as graphs of ncnn, computed by a process of their own on any graphics card."""
