"""One Gaussian process: kernels, posterior, fit; and curves over the logarithm of a budget."""
