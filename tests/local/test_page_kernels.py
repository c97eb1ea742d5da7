"""Which kernels of Voila's pages are ended."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from deltaml_core.local.kernels import PageKernels

HOUR = timedelta(hours=1)


def test_a_kernel_that_waited_long_for_its_page_is_idle_only_from_then_on() -> None:
    async def ended() -> tuple[bool, bool]:
        kernels = PageKernels(cull_idle_timeout=120)
        name = await kernels.start_kernel()
        kernels.get_kernel(name).last_activity -= HOUR
        await kernels.cull_kernel_if_idle(name)
        at_first = name not in kernels
        kernels.get_kernel(name).last_activity -= HOUR
        await kernels.cull_kernel_if_idle(name)
        return at_first, name not in kernels

    assert asyncio.run(ended()) == (False, True)
