"""From a request to a waiting job, or to a refusal that leaves nothing."""
