"""The kernels of Voila's pages: Jupyter ends those that nobody uses, and must not take one for that which has only waited for its page."""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

from jupyter_server._tz import utcnow
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from traitlets import Instance


class PageKernels(AsyncMappingKernelManager):
    """Counts a kernel's idle time from when a page took it.

    A prepared page may wait for hours. From when somebody opens it until the browser has connected it has no reader, and would be ended for
    all the time before.
    """

    _taken = Instance(WeakSet, ())

    async def cull_kernel_if_idle(self, kernel_id: str) -> None:
        """End a kernel that has been idle too long; Voila does not ask for those that wait for a page."""
        kernel: Any = self.get_kernel(kernel_id)
        if kernel not in self._taken:
            self._taken.add(kernel)
            kernel.last_activity = utcnow()
        await super().cull_kernel_if_idle(kernel_id)  # type: ignore[no-untyped-call]
