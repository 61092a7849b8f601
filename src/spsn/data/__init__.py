"""Where spikes come from, until they are a batch."""
