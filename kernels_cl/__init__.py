"""The OpenCL C templates (package data)."""
