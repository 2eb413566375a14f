"""What the search for a kernel follows, with its slopes: section 5.4 of Rasmussen and Williams (2006)."""

from __future__ import annotations

import torch
from torch import Tensor

from engage_cli.models.gaussian_process.measurement import off_contrasts, on_contrasts

TINY = 1e-12


def likelihood(covariance: Tensor, wanted: Tensor, contrasts: Tensor | None = None) -> tuple[float, Tensor]:
    """Return the negative logarithm of the marginal likelihood, but for a constant, and its slope (equation 5.9).

    With contrasts (c, n) it is that of the contrasts of the posts; the slope is that of the posts' covariance all the same.

    The slope, (n, n), is the one that autograd finds, without its way back through the factorisation, which takes longest.
    """
    if contrasts is not None:
        value, slope = likelihood(on_contrasts(contrasts, covariance), contrasts @ wanted)
        return value, off_contrasts(contrasts, slope)
    factor = torch.linalg.cholesky(covariance)
    coefficients = torch.cholesky_solve(wanted[:, None], factor)[:, 0]
    loss = 0.5 * (wanted @ coefficients) + factor.diagonal().log().sum()
    return loss.item(), 0.5 * (torch.cholesky_inverse(factor) - torch.outer(coefficients, coefficients))


def error_left_out(covariance: Tensor, wanted: Tensor) -> tuple[float, Tensor]:
    """Return the mean squared error of posts that are each left out, and the slope of n / 2 times its logarithm.

    With A the inverse, c = A y and the errors e = c / diag A (equation 5.12), since dA = -A dK A, the slope, (n, n), is
    n / sum e^2 times the symmetric part of A diag(e^2 / diag A) A - (A (e / diag A)) c^T.
    """
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(covariance))
    coefficients, diagonal = inverse @ wanted, inverse.diagonal()
    errors = coefficients / diagonal
    squares = errors**2
    rest = torch.outer(inverse @ (errors / diagonal), coefficients)
    slope = (inverse * (squares / diagonal)) @ inverse - 0.5 * (rest + rest.T)
    return squares.mean().item(), slope / (squares.mean() + TINY)
