"""Proposals in two dimensions, for the tests of proposals and mixtures."""

from __future__ import annotations

import numpy as np

from nbi_sampler.algorithm.proposals.kernels import LatentKernels
from nbi_sampler.algorithm.proposals.student_mixture import StudentMixture

FACTOR = np.array([[0.6, 0.0], [-0.3, 0.4]])

MEAN = np.array([0.5, -0.2])

NO_CUT, CUT = np.zeros(2), np.array([0.35, 0.0])


def student(cut, mean=MEAN, factor=FACTOR, degrees=4.0):
    return LatentKernels(StudentMixture(np.ones(1), mean[None], factor[None], degrees), cut)


def two_students(cut):
    shares, centres = np.array([0.3, 0.7]), np.array([[0.5, -0.2], [-0.6, 0.3]])
    mixture = StudentMixture(shares, centres, np.stack([FACTOR, 0.5 * np.eye(2)]), 5.0)
    return LatentKernels(mixture, cut)
