"""The measurement nobody can forge (protocol.md §5), the default.

    validator    v = R w - u, its residuals folded by a QR decomposition       sends [[t = v + s]], [[t' = alpha v + s']]
    buyer        decrypts the masked t, t'; never sees v                       returns [[Q = t.t]], [[Q' = t'.t']]
    validator    takes the masks off under encryption: [[V]], [[V']]           sends [[Z = kappa (V' - alpha**2 V)]]
    buyer        proves that Z holds 0: only honest products do                aggregator sums the validators' [[V + rho + blur]]
    buyer        opens the sum with proof, if it can be a squared error        everybody checks it

Who learns what: everybody learns the sum of the validators' squared errors, blurred; nobody a residual, and no validator another's
error. Given several models at once (protocol.md §8) v becomes one vector a model, products are taken of every pair, and what is
opened is the Gram matrix of the models' errors, from which the error of every coalition's average follows.
"""
