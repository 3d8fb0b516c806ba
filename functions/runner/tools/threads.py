"""Blocking work beside the event loop."""

import asyncio
import contextvars
import threading
from collections.abc import Callable


async def in_thread[T](work: Callable[[], T]) -> T:
    """Run ``work`` in a thread of its own; raises what it raises.

    Not the loop's executor: a tool that hangs would keep one of its few threads, which name resolution needs too, and
    would keep the process from ending. If the caller is cancelled the thread goes on, and nobody hears of it.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

    def finish(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)  # pyright: ignore[reportArgumentType]
        else:
            future.set_exception(error)

    def run() -> None:
        result: T | None = None
        failed: BaseException | None = None
        try:
            result = context.run(work)
        except StopIteration as error:
            # A future cannot hold one: it would end the generator that awaits it.
            failed = RuntimeError(f"StopIteration: {error}")
        except BaseException as error:  # it is the caller's, whatever it is
            failed = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(finish, result, failed)

    threading.Thread(target=run, name="blocking-tool", daemon=True).start()
    return await future
