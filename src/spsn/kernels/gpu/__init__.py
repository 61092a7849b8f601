"""The fused kernels for GPUs, in Triton."""
