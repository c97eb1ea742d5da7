"""The laws of schemes/vectors.py, which every scheme keeps: its test module imports this suite and says in `ring` what to test."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from deltaml_core.errors import ScaleBudgetError, TermsError, UnsupportedOperationError
from deltaml_core.schemes.vectors import Keyring, Vector

Array = npt.NDArray[np.float64]
SIZES = [1, 2, 3, 11]
LARGEST = 16


class VectorBehaviour:
    """Subclasses give `ring` as a fixture: a key for `LARGEST` numbers and two products in a row, or more."""

    @pytest.fixture
    def drawn(self) -> Callable[..., Array]:
        """Numbers between -1 and 1, the same in every run."""
        rng = np.random.default_rng(5)
        return lambda *shape: rng.uniform(-1, 1, shape)

    def check(self, ring: Keyring, vector: Vector, expected: Array) -> None:
        found = ring.decrypt(vector)
        assert found.shape == expected.shape == (vector.entries,)
        assert np.abs(found - expected).max() <= ring.public.tolerance

    @pytest.mark.parametrize("size", SIZES)
    def test_decrypt_undoes_encrypt(self, ring: Keyring, drawn: Callable[..., Array], size: int) -> None:
        x = drawn(size)
        vector = ring.public.encrypt(x)
        assert (vector.entries, vector.depth) == (size, 0)
        self.check(ring, vector, x)

    @pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, 3), (11, 11), (2, 11), (11, 2), (1, LARGEST), (LARGEST, LARGEST)])
    def test_affine_maps_of_any_shape(self, ring: Keyring, drawn: Callable[..., Array], rows: int, columns: int) -> None:
        M, v, x = drawn(rows, columns) / columns, drawn(rows), drawn(columns)
        result = ring.public.affine(ring.public.prepare(M, v), ring.public.encrypt(x))
        assert result.depth == 1
        self.check(ring, result, M @ x + v)

    def test_a_map_of_zeros_gives_its_offset(self, ring: Keyring, drawn: Callable[..., Array]) -> None:
        offset = drawn(3)
        self.check(ring, ring.public.affine(ring.public.prepare(np.zeros((3, 3)), offset), ring.public.encrypt(drawn(3))), offset)

    def test_a_map_is_used_again_at_every_depth(self, ring: Keyring, drawn: Callable[..., Array]) -> None:
        M, v, x = drawn(5, 5) / 5, drawn(5), drawn(5)
        linear, vector, expected = ring.public.prepare(M, v), ring.public.encrypt(x), x
        for _ in range(ring.public.depth):
            vector, expected = ring.public.affine(linear, vector), M @ expected + v
        self.check(ring, vector, expected)

    def test_sums_differences_and_known_numbers(self, ring: Keyring, drawn: Callable[..., Array]) -> None:
        x, y, known = drawn(4), drawn(4), drawn(4)
        left, right = ring.public.encrypt(x), ring.public.encrypt(y)
        self.check(ring, ring.public.add(left, right), x + y)
        self.check(ring, ring.public.subtract(left, right), x - y)
        self.check(ring, ring.public.shift(left, known), x + known)
        self.check(ring, left, x)  # nothing is changed in place

    def test_vectors_of_different_depths_add(self, ring: Keyring, drawn: Callable[..., Array]) -> None:
        M, v, x, y = drawn(3, 3) / 3, drawn(3), drawn(3), drawn(3)
        deeper = ring.public.affine(ring.public.prepare(M, v), ring.public.encrypt(x))
        fresh = ring.public.encrypt(y)
        self.check(ring, ring.public.add(deeper, fresh), M @ x + v + y)
        self.check(ring, ring.public.subtract(fresh, deeper), y - (M @ x + v))
        assert ring.public.add(fresh, deeper).depth == 1

    def test_products_of_encrypted_vectors(self, ring: Keyring, drawn: Callable[..., Array]) -> None:
        M, v, x, y = drawn(5, 5) / 5, drawn(5), drawn(5), drawn(5)
        left, right = ring.public.affine(ring.public.prepare(M, v), ring.public.encrypt(x)), ring.public.encrypt(y)
        if not ring.public.multiplies:
            for refused in (ring.public.multiply, ring.public.inner):
                with pytest.raises(UnsupportedOperationError, match=f"{ring.public.name} cannot multiply"):
                    refused(left, right)
            return
        assert ring.public.multiply(left, right).depth == 2
        self.check(ring, ring.public.multiply(left, right), (M @ x + v) * y)
        self.check(ring, ring.public.inner(left, right), np.array([(M @ x + v) @ y]))
        self.check(ring, ring.public.inner(right, right), np.array([y @ y]))

    def test_products_beyond_the_depth_are_refused(self, ring: Keyring, drawn: Callable[..., Array]) -> None:
        linear, vector = ring.public.prepare(drawn(2, 2) / 2, drawn(2)), ring.public.encrypt(drawn(2))
        for _ in range(ring.public.depth):
            vector = ring.public.affine(linear, vector)
        products: list[Callable[[], Vector]] = [lambda: ring.public.affine(linear, vector)]
        if ring.public.multiplies:
            products += [lambda: ring.public.multiply(vector, vector), lambda: ring.public.inner(ring.public.encrypt(drawn(2)), vector)]
        for product in products:
            with pytest.raises(ScaleBudgetError, match="refresh the vector first"):
                product()

    @pytest.mark.parametrize("owners", [1, 4])
    def test_a_refresh_keeps_the_numbers_and_makes_room(self, ring: Keyring, drawn: Callable[..., Array], owners: int) -> None:
        M, v, x = drawn(5, 5) / 5, drawn(5), drawn(5)
        linear, vector, expected = ring.public.prepare(M, v), ring.public.encrypt(x), x
        for _ in range(3):
            for _ in range(ring.public.depth):
                vector, expected = ring.public.affine(linear, vector), M @ expected + v
            vector = ring.refresh(vector, [ring.public.mask(vector) for _ in range(owners)])
            assert (vector.entries, vector.depth) == (5, 0)
        self.check(ring, vector, expected)

    def test_numbers_as_large_as_the_scheme_states_survive_a_refresh(self, ring: Keyring) -> None:
        largest = 0.99 * ring.public.capacity * np.array([1.0, -1.0, 1.0])
        vector = ring.public.encrypt(largest)
        refreshed = ring.decrypt(ring.refresh(vector, [ring.public.mask(vector) for _ in range(3)]))
        assert np.allclose(refreshed, largest, rtol=1e-12)

    def test_a_refresh_needs_somebody_who_masks(self, ring: Keyring, drawn: Callable[..., Array]) -> None:
        with pytest.raises(TermsError, match=r"masks?"):
            ring.refresh(ring.public.encrypt(drawn(2)), [])

    def test_two_masks_differ(self, ring: Keyring, drawn: Callable[..., Array]) -> None:
        """What is masked twice is not seen twice: the sums of numbers and masks are far apart, and far from the numbers."""
        vector = ring.public.encrypt(drawn(3))
        seen = [self.masked(ring, vector) for _ in range(2)]
        assert np.abs(seen[0] - seen[1]).min() > 2.0**30
        assert min(np.abs(s).max() for s in seen) > 2.0**30

    def masked(self, ring: Keyring, vector: Vector) -> Array:
        """What is seen at a refresh."""
        raise NotImplementedError

    def test_a_blur_is_about_as_wide_as_it_says(self, ring: Keyring, drawn: Callable[..., Array]) -> None:
        x, width = drawn(LARGEST), 1e-4
        blurs = np.concatenate([ring.decrypt(ring.public.blur(ring.public.encrypt(x), width)) - x for _ in range(4)])
        assert width / 8 < np.abs(blurs).max() < 8 * width
        assert len(set(blurs.tolist())) == len(blurs)

    def test_what_is_published_is_right_to_the_width(self, ring: Keyring, drawn: Callable[..., Array]) -> None:
        x = drawn(4)
        assert np.abs(ring.publish(ring.public.encrypt(x), 1e-6) - x).max() < 1e-5

    def test_what_is_sent_is_counted(self, ring: Keyring, drawn: Callable[..., Array]) -> None:
        before = ring.public.sent
        ring.public.encrypt(drawn(4))
        between = ring.public.sent
        ring.public.affine(ring.public.prepare(drawn(4, 4), drawn(4)), ring.public.encrypt(drawn(4)))
        assert 32 < between - before < ring.public.sent - between

    @pytest.mark.parametrize("bad", [[], [[1.0]], [1.0, float("nan")], [float("inf")]])
    def test_what_is_no_vector_of_finite_numbers_is_refused(self, ring: Keyring, bad: list[float]) -> None:
        with pytest.raises(ValueError, match="vector of finite numbers"):
            ring.public.encrypt(np.array(bad))
