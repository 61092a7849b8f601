"""The fused forms of the plain operations: one pass where the plain form makes many."""
