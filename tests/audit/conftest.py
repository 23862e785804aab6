"""What the jobs' tests use: a data directory, a model, pictures, keys."""

from tests.jobs.conftest import data_dir, make_job, make_key, make_submission, model, restorer, submit

__all__ = ["data_dir", "make_job", "make_key", "make_submission", "model", "restorer", "submit"]
