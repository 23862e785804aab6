"""Files of jobs: names, writing, archives, retention."""
