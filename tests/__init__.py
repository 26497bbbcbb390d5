"""Tests of nnef-cl."""
