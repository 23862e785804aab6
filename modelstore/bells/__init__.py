"""What carries messages between processes: Postgres, or Redis where BROKER_URL names one."""
