"""A plain Prefect flow of the shape of `capture`: five async tasks, which do nothing."""

from prefect import flow, task


@task
async def step(number: int) -> int:
    """Do nothing."""
    return number


@flow(flow_run_name="plain", persist_result=True, retries=0)
async def plain() -> int:
    """Run five tasks, one after the other."""
    return sum([await step(number) for number in range(5)])
