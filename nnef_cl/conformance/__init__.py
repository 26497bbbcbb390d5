"""What a device must compute: sample arguments of every operation, and the comparison with the references."""
