"""The stream runtime: the loop, the logs, the changelog, dead letters, metrics and health. It knows no finance."""
