"""What serving costs: operators of an engine step, memory of a replica, time of a step."""
