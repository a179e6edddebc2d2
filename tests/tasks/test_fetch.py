"""What a run says of the bytes that it fetched."""

from tasks.fetch import Throughput


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_wait_for_a_bucket_s_listing_is_no_transfer():
    """10 s until the listing was stable counted as transfer: 1 MB/s was told of a fast bucket."""
    clock = Clock()
    meter = Throughput(clock=clock)
    clock.now += 10
    meter.listed()
    for _ in range(4):
        clock.now += 0.25
        meter.add(3_000_000)
    clock.now += 60  # what is done with the bytes is no transfer, either
    assert str(meter) == (
        "12,000,000 bytes in 1.0 s (12 MB/s), after 10.0 s until the bucket's listing was stable"
    )


def test_a_second_wait_for_late_files_counts_too():
    clock = Clock()
    meter = Throughput(clock=clock)
    for _ in range(2):
        clock.now += 3
        meter.listed()
        clock.now += 1
        meter.add(1_000_000)
    assert str(meter).startswith("2,000,000 bytes in 2.0 s (1 MB/s), after 6.0 s until")


def test_a_download_from_the_api_waits_for_no_listing():
    clock = Clock()
    meter = Throughput(clock=clock)
    clock.now += 2
    meter.add(4_000_000)
    assert str(meter) == "4,000,000 bytes in 2.0 s (2 MB/s)"
