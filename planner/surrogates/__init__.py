"""What accuracy to expect of a network that was not trained, and how sure that is: `planner.fit_surrogate`.

Notation of this package (n rows seen, d features, m members):

    inputs      (n, k) raw numbers of the columns that the caller names, and of the cost where there is one
    features    (n, d) their logarithms (where that helps), standardised; constant columns are left out
    warped      (n,)   the target, warped so that it is linear and Gaussian as far as may be, and standardised
    member      a Gaussian process: constant + linear + (but for the first) a Matern-5/2 kernel, and noise
    weights     (m,)   of the members, from leave-one-out densities

Every module but `choose`, `members`, `validate` and `fit` needs numpy alone.
"""
