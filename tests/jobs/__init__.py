"""The life of a job, with real rows, real files and real processes that are killed."""
