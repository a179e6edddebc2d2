"""Count files in a thread, while this one imports what shows the result."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from edgecap.errors import InvalidRequest
from edgecap.files.interruption import Interrupted, Interruption, interruptible
from edgecap.files.names import shown
from edgecap.packets.flow_table import FlowTable
from edgecap.packets.inspection import Inspection
from edgecap.packets.reader import PacketReader, open_packets

if TYPE_CHECKING:
    from edgecap.packets.packet_filter import PacketFilter

STDIN = "-"
_SWITCH = 0.0005  # seconds after which Python lets the other thread run: counting needs it at each read


@dataclass(frozen=True, slots=True)
class Counted:
    """One file, counted.

    Attributes:
        name: for people.
        found: its content.
        refused: why the filter does not apply to it; None if it does.
        hint: why nothing in it matched the filter; empty if there is nothing to say.
    """

    name: str
    found: Inspection
    refused: InvalidRequest | None
    hint: str

    @property
    def lost(self) -> str:
        """What was left out of it; empty if nothing."""
        return "; ".join(filter(None, (self.found.lost, str(self.refused or ""))))


class Counting:
    """Counts files into a table, in a thread of its own. Used in a `with` block, which ends the thread.

    Args:
        files: their paths; `-` for standard input.
        expression: a filter in pcap-filter syntax, or empty.
        inner: it applies to the innermost packet.
        tally: what the packets are counted in. Nobody else may touch it before `result`.
    """

    def __init__(self, files: Sequence[str], expression: str, tally: FlowTable, *, inner: bool) -> None:
        self._files, self._expression, self._inner = files, expression, inner
        self._tally = tally
        self._counted: list[Counted] = []
        self._failed: BaseException | None = None
        self._interruption = Interruption()
        # A daemon: standard input may never end, and Ctrl-C does not wait for it.
        self._thread = threading.Thread(target=self._run, name="counting", daemon=True)

    def __repr__(self) -> str:
        return f"<Counting [{len(self._counted)} of {len(self._files)} files]>"

    def __enter__(self) -> Self:
        self._usual = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._interruption.ask()
        sys.setswitchinterval(self._usual)

    def result(self) -> list[Counted]:
        """The files, counted; the table is finished.

        Raises:
            InvalidRequest: the filter applies to none of them.
            ObjectMissing, StoreDenied, StoreUnreachable: a file cannot be read.
        """
        while self._thread.is_alive():
            self._thread.join(0.2)  # so that Ctrl-C is noticed
        if self._failed:
            raise self._failed
        refused = [each.refused for each in self._counted if each.refused]
        if refused and len(refused) == len(self._counted):
            raise refused[0]
        return self._counted

    def _run(self) -> None:
        try:
            with interruptible(self._interruption):
                for name in self._files:
                    self._counted.append(self._count(name))
                self._tally.finish()
        except Interrupted:
            return
        except BaseException as error:  # noqa: BLE001 - `result` raises it
            self._failed = error

    def _count(self, name: str) -> Counted:
        with ExitStack() as stack:
            if name == STDIN:
                reader = PacketReader(sys.stdin.buffer, where="standard input")
            else:
                reader = stack.enter_context(open_packets(Path(name)))
            sieve = self._sieve(name)
            refused = None
            try:
                for batch in reader:
                    kept = sieve.keep(batch, reader.interfaces) if sieve else batch
                    self._tally.feed(kept, reader.interfaces)
                if sieve:
                    sieve.check(reader.interfaces)
            except InvalidRequest as error:
                refused = error
            return Counted(shown(name), reader.inspection(), refused, sieve.hint if sieve else "")

    def _sieve(self, name: str) -> PacketFilter | None:
        if not self._expression.strip():
            return None
        from edgecap.packets.packet_filter import PacketFilter  # noqa: PLC0415 - libpcap, only for a filter

        return PacketFilter(self._expression, shown(name), inner=self._inner)
