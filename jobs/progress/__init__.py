"""Progress of jobs: one listener for all who wait, event streams, estimates, callers that left."""
