"""A replication of "Accelerating SNN Training with Stochastic Parallelizable Spiking Neurons" (arXiv
2306.12666).
"""

__version__ = "0.1.0"
