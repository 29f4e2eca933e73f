"""What verl 0.9 lacks for this job, added through its own extension points."""
