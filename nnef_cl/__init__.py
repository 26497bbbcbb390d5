"""Runs NNEF neural networks on any OpenCL device."""
