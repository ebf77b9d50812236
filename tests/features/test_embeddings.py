"""The principal components of embeddings against scikit-learn's."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from src.features.embeddings import principal_components


@pytest.fixture
def vectors():
    rng = np.random.default_rng(3)
    return rng.normal(size=(40, 6)) * [8, 4, 2, 1, 0.5, 0.1] @ np.linalg.qr(rng.normal(size=(6, 6)))[0] + 5


@pytest.mark.parametrize("variance", [0.5, 0.9, 0.95, 0.999])
def test_axes_are_those_of_scikit_learn(vectors, variance):
    mean, axes = principal_components(vectors, variance, 96)
    pca = PCA(n_components=variance, svd_solver="full").fit(vectors)
    assert axes.shape == pca.components_.shape
    np.testing.assert_allclose(mean, pca.mean_)
    np.testing.assert_allclose(np.abs((axes * pca.components_).sum(axis=1)), 1)


def test_at_most_so_many(vectors):
    assert len(principal_components(vectors, 1.0, 96)[1]) == 6
    assert len(principal_components(vectors, 1.0, 2)[1]) == 2


def test_two_axes_by_hand():
    # variances 9 and 1 along the coordinates: the first holds 90 %
    vectors = np.array([[3.0, 1.0], [3.0, -1.0], [-3.0, 1.0], [-3.0, -1.0]])
    np.testing.assert_allclose(principal_components(vectors, 0.9, 9)[1], [[1, 0]], atol=1e-12)
    np.testing.assert_allclose(principal_components(vectors, 0.91, 9)[1], np.eye(2), atol=1e-12)


def test_the_order_of_recordings_does_not_matter(vectors):
    order = np.random.default_rng(0).permutation(len(vectors))
    for one, other in zip(
        principal_components(vectors, 0.95, 9), principal_components(vectors[order], 0.95, 9), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_recordings_that_are_all_the_same_have_one_component_without_variance():
    mean, axes = principal_components(np.ones((5, 3)), 0.95, 9)
    np.testing.assert_allclose((np.ones((5, 3)) - mean) @ axes.T, 0)
    assert len(axes) == 1
