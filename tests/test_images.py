"""Images against sums of cosines written out, and against scipy's transform of the mirrored image."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpcourse import images

SIZE = 8
EDGES = np.array([0.5, 1, 2, 4])
rng = np.random.default_rng(0)
PHOTO = rng.random((SIZE, SIZE))


def wave(p: int, q: int, size: int = SIZE) -> np.ndarray:
    """The cosine wave of length 1 with indices p along the rows and q along the columns."""
    u = (np.arange(size) + 0.5) / size
    image = np.cos(np.pi * p * u)[:, None] * np.cos(np.pi * q * u)
    return image / np.linalg.norm(image)


def test_pixel_centres_are_the_points_of_the_raveled_image():
    x = images.pixel_centres(4)
    down, right = x.T.reshape(2, 4, 4)
    np.testing.assert_allclose(down[:, 2], [-0.375, -0.125, 0.125, 0.375])
    np.testing.assert_allclose(right[1], [-0.375, -0.125, 0.125, 0.375])
    np.testing.assert_allclose(down[2], down[2, 0])


def test_features_are_waves_with_the_kernel_of_their_frequencies():
    x, b = rng.random((6, 2)), rng.normal(size=(50, 2))
    waves = images.fourier_features(x, b)
    np.testing.assert_allclose(waves[2, 7], np.cos(2 * np.pi * (b[7] @ x[2])))
    np.testing.assert_allclose(waves[2, 57], np.sin(2 * np.pi * (b[7] @ x[2])))
    expected = np.mean([np.cos(2 * np.pi * ((x[:, None] - x) @ row)) for row in b], axis=0)
    np.testing.assert_allclose(waves @ waves.T / 50, expected, atol=1e-14)


def test_cosine_transform_is_the_product_with_cosine_waves():
    found = images.cosine_transform(np.stack([PHOTO, 2 * PHOTO]))
    for p, q in ((0, 0), (1, 0), (0, 3), (5, 2), (7, 7)):
        np.testing.assert_allclose(found[0, p, q], (PHOTO * wave(p, q)).sum(), atol=1e-13)
    np.testing.assert_allclose(found[1], 2 * found[0])
    np.testing.assert_allclose((found[0] ** 2).sum(), (PHOTO**2).sum())


def test_cosine_transform_is_the_fourier_transform_of_the_mirrored_image():
    mirrored = np.block([[PHOTO, PHOTO[:, ::-1]], [PHOTO[::-1], PHOTO[::-1, ::-1]]])
    amplitudes = np.abs(np.fft.fft2(mirrored))[:SIZE, :SIZE]
    once = np.where(np.arange(SIZE) == 0, 2**0.5, 1)
    np.testing.assert_allclose(amplitudes, 2 * SIZE * np.abs(images.cosine_transform(PHOTO)) * once * once[:, None])


@pytest.mark.parametrize(
    ("p", "q", "ring"), [(1, 0, 0), (1, 1, 0), (2, 0, 1), (2, 2, 1), (3, 2, 1), (0, 4, 2), (7, 3, 2)]
)
def test_a_wave_lies_in_the_ring_of_its_frequency(p, q, ring):
    sums = images.band_sums(images.cosine_transform(wave(p, q)) ** 2, EDGES)
    np.testing.assert_allclose(sums, np.arange(3) == ring, atol=1e-14)


def test_frequencies_outside_all_rings_do_not_count():
    ones = np.ones((2, SIZE, SIZE))
    np.testing.assert_allclose(images.band_sums(ones, EDGES)[1], [3, 11, 41])  # counted by hand
    for p, q in ((0, 0), (7, 7)):
        assert images.band_sums(images.cosine_transform(wave(p, q)) ** 2, EDGES).max() < 1e-25


@given(st.lists(st.floats(0, 2), min_size=3, max_size=3), st.floats(-3, 3))
def test_band_errors_are_the_shares_missing_in_each_ring(factors, constant):
    waves = [wave(1, 0), wave(2, 1), wave(0, 5)]
    target = 2 * waves[0] + waves[1] - 3 * waves[2]
    h = 2 * factors[0] * waves[0] + factors[1] * waves[1] - 3 * factors[2] * waves[2] + constant
    errors = images.band_errors(np.stack([h, target]), target, EDGES)
    np.testing.assert_allclose(errors[0], np.abs(1 - np.array(factors)), atol=1e-12)
    assert errors[1].max() < 1e-12


def test_cosine_rates_are_quadratic_forms():
    half = rng.normal(size=(SIZE**2, SIZE**2))
    kernel = half @ half.T
    found = images.cosine_rates(kernel)
    for p, q in ((0, 0), (1, 0), (0, 3), (5, 2)):
        np.testing.assert_allclose(SIZE**2 * found[p, q], wave(p, q).ravel() @ kernel @ wave(p, q).ravel())
    single = images.cosine_rates(2.5 * np.outer(wave(3, 1), wave(3, 1)))
    assert np.unravel_index(single.argmax(), single.shape) == (3, 1)
    np.testing.assert_allclose(single.sum(), 2.5 / SIZE**2)


def test_psnr_is_ten_decibels_per_factor_of_ten():
    y = rng.random(20)
    errors = np.array([0.1, 0.01])[:, None] * np.ones(20)
    np.testing.assert_allclose(images.psnr(y + errors, y), [20, 40])
    assert images.psnr(y, y) == np.inf


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: images.pixel_centres(0), "size must be"),
        (lambda: images.fourier_features(np.ones((3, 2)), np.ones((4, 3))), "one column per dimension"),
        (lambda: images.cosine_transform(np.ones((4, 5))), "must be square"),
        (lambda: images.band_sums(PHOTO, [2, 1]), "two ascending"),
        (lambda: images.band_sums(PHOTO, [0.6, 0.7]), "must hold a frequency"),
        (lambda: images.band_errors(PHOTO, PHOTO[:4, :4], EDGES), "size of those in h"),
        (lambda: images.band_errors(PHOTO, PHOTO[None], EDGES), "must be one image"),
        (lambda: images.band_errors(PHOTO, np.ones((SIZE, SIZE)), EDGES), "component in every ring"),
        (lambda: images.cosine_rates(np.ones((5, 5))), "s\\*s"),
        (lambda: images.psnr(np.ones((2, 3)), np.ones(4)), "one value per pixel"),
    ],
)
def test_refuses(call, message):
    with pytest.raises(ValueError, match=message):
        call()
