"""One model's weights from a host to the store: requests, lease, ranges, progress."""
