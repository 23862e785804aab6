"""What goes into and comes out of the jobs' endpoints: shapes only; meaning is checked by the domain."""
