"""The service's settings with the queue's broker chosen by BENCH_BROKER: own (default) or stock."""

import os

from upscaler_site.settings import *  # noqa: F403 - the service's settings, with the differences below
from upscaler_site.settings import Q_CLUSTER

# One worker that computes nothing, so that the figures are the queue's alone.
Q_CLUSTER = {**Q_CLUSTER, "ALT_CLUSTERS": {"io": {"workers": 1}}}
if os.environ.get("BENCH_BROKER") == "stock":
    del Q_CLUSTER["broker_class"]
    Q_CLUSTER |= {"timeout": 60, "retry": 240}  # django-q2's own poll of 0.2 s
