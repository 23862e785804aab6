"""The queue over Postgres, and all that tames django-q2: broker, dispatch, sweeper, watchdogs."""
