"""Symbolic formulas that several chapters share: Gaussian laws, their heavier-tailed deformation, rotations."""

from sympy import Expr, Matrix, Symbol, cos, erf, erfinv, exp, log, pi, sin, sqrt


def normal_density(t: Expr) -> Expr:
    """The density of N(0, 1) at t."""
    return exp(-(t**2) / 2) / sqrt(2 * pi)


def normal_cdf(point: Expr) -> Expr:
    """The probability that N(0, 1) is at most `point`."""
    return (1 + erf(point / sqrt(2))) / 2


def normal_quantile(probability: Expr) -> Expr:
    """The inverse of `normal_cdf`."""
    return sqrt(2) * erfinv(2 * probability - 1)


def log_density(point: Matrix, mean: Matrix, covariance: Matrix) -> Expr:
    """log N(point; mean, covariance) for explicit symbolic vectors (d, 1) and a regular covariance (d, d)."""
    precision, deviation = covariance.adjugate() / covariance.det(), point - mean
    return -(deviation.T * precision * deviation)[0] / 2 - log((2 * pi) ** point.rows * covariance.det()) / 2


def quartic_log_density(t: Expr, size: Expr) -> Expr:
    """-t²/2 - size t⁴/4: the log of a symmetric density, N(0, 1) at size 0, up to a constant."""
    return -(t**2) / 2 - size * t**4 / 4


def symmetric(size: int) -> Matrix:
    """A symmetric matrix of free symbols s_ij."""
    return Matrix(size, size, lambda i, j: Symbol(f"s{min(i, j)}{max(i, j)}"))


def rotation(angle: Expr) -> Matrix:
    """The rotation of the plane by an angle."""
    return Matrix([[cos(angle), -sin(angle)], [sin(angle), cos(angle)]])
