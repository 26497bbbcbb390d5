"""Many files through a network: found and named, read by threads, gathered into batches, results written one by one."""

RECORD_FILES = (".jsonl", ".csv")
"""Endings of the files that hold a record per input; results that go elsewhere go into a folder."""
