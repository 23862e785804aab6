"""Jobs: takes images in, queues them, upscales them, keeps the results."""
