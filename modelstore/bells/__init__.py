"""Messages between processes: over Postgres, or over Redis where BROKER_URL names one."""
