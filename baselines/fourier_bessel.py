"""Fourier-Bessel functions on a square of pixels, at more than one scale (Qiu et al., "DCFNet: Deep Neural Network with
Decomposed Convolutional Filters", ICML 2018), of which HyperE2VID makes its filters.

A function is J_k(z r) cos(k phi) or J_k(z r) sin(k phi) inside the unit disc and 0 outside, z a zero of the Bessel function
J_k. On 2 n + 1 pixels a side the disc has the radius n + 1/2 pixels; the functions used are those slow enough for so few.
"""

import numpy as np
from jaxtyping import Float32, Float64
from scipy.special import jn_zeros, jv

EACH = 6
"""Functions of each scale (HyperE2VID's code)."""


def multiscale(kernel: int) -> Float32[np.ndarray, "functions {kernel}*{kernel}"]:
    """Six functions on 3 x 3 pixels, six on 5 x 5, and so on up to `kernel`, rows after one another, zeros around."""
    scales = range(1, kernel // 2 + 1)
    padded = [np.pad(_functions(n)[:EACH], ((0, 0), *[(kernel // 2 - n,) * 2] * 2)) for n in scales]
    return np.concatenate(padded).reshape(-1, kernel**2).astype(np.float32)


def _functions(n: int) -> Float64[np.ndarray, "functions 2*{n}+1 2*{n}+1"]:
    """All functions on 2 n + 1 pixels a side, from slow to fast, with a mean square norm of 1."""
    offsets = np.arange(-n, n + 1) / (n + 0.5)
    radius, angle = np.hypot(offsets[:, None], offsets), np.arctan2(offsets, offsets[:, None])
    functions = list[Float64[np.ndarray, "side side"]]()
    for order, zero in _frequencies(n):
        radial = jv(order, zero * radius) / abs(jv(order + 1, zero)) * (radius < 1)
        if order == 0:
            functions.append(radial)
        else:
            functions += [np.sqrt(2) * radial * np.cos(order * angle), np.sqrt(2) * radial * np.sin(order * angle)]
    stacked = np.stack(functions)
    return stacked / np.sqrt(np.mean(np.sum(stacked**2, (1, 2))))


def _frequencies(n: int) -> list[tuple[int, float]]:
    """Orders k and zeros of J_k, by the zeros, of which the next zero, too, is slow enough for the pixels."""
    highest = np.pi * (n + 0.5) * (2 if n == 1 else 1.5)  # 2 and 1.5: DCFNet's code
    count = int(highest)  # J_k has its first zero above k, and zeros more than 2 apart
    zeros = [(order, jn_zeros(order, count).tolist()) for order in range(count)]
    slow = [(order, zero) for order, of in zeros for zero, after in zip(of, of[1:], strict=False) if after <= highest]
    return sorted(slow, key=lambda frequency: frequency[1])
