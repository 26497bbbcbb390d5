"""Kernel records -> OpenCL C: decides nothing about NNEF and needs no device."""
