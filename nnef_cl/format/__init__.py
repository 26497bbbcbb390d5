"""Text and bytes <-> plain records: knows the NNEF files, knows no operation."""
