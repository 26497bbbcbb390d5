"""Fuzzing of what reads files: valid models, mutations of them, and a campaign that judges every outcome."""
