"""The audit log: who did what with whose data, written once and never changed."""
