"""The Vulkan backend: its graphs, its process, its doubts, on Debian's software driver and on a pretended ncnn."""
