"""What the advice of a replay would have earned and cost, followed from its events alone."""
