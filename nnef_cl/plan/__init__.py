"""Graph + Target -> Plan: which kernels run, on which buffers. Knows no OpenCL."""
