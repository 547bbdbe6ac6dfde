"""The pure heart: what a message means for a plant. No clock, no chance, no network; the same log gives the same state, byte for byte."""
