"""The fused kernels for CPUs: SIMD code by numba, tile by tile, no compiler needed at installation."""
