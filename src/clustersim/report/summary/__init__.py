"""The summary of a run as text, part by part: each kind of workload, the fabric, the bottlenecks."""
