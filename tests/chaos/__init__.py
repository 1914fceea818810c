"""Faults on three real brokers under load, judged by a history checker that knows nothing of the project."""
