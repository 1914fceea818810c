"""From ticks to sessions: latest quotes, session bars, official closes, and the event-time instants of decisions."""
