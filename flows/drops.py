"""Flow `drops`: what the edge dropped of an incident's packets, once Cloudflare's rows have settled."""

# No `from __future__ import annotations`: Prefect makes the form of the UI from the real types.
import asyncio

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run as this_run
from prefect.states import Completed, Failed

from edgecap.errors import EdgecapError, EntryMissing
from edgecap.incidents.drops import Round
from edgecap.incidents.incidents import Incidents
from edgecap.incidents.record import Incident, IncidentEvent
from edgecap.proposals.model import Proposals
from edgecap.settings import DEFAULT, load_settings
from edgecap.stores import open_store
from tasks.drops import ask_drops, in_a_line
from tasks.incident_page import show_incident
from tasks.runtime.prefect_away import crashed
from tasks.runtime.recovery import record_process
from tasks.runtime.retry import PREFECT_AWAY


def _name() -> str:
    given = this_run.parameters
    return f"incident {given['incident'][:8]}: what was dropped, {given['asked'].replace('-', ' ')}"


@flow(name="drops", flow_run_name=_name, persist_result=True, retries=0)
async def drops(
    incident: str, asked: Round = "after-15-min", account: str = DEFAULT, archive: str = DEFAULT
) -> State[str]:
    """Ask again what Cloudflare's edge dropped of an incident's packets, and show its page anew.

    A closed incident schedules this for 15 minutes and for 12 hours later. What was written down for a time
    stands: a run that starts again changes nothing.

    Args:
        incident: The incident's id, 32 hexadecimal digits
        asked: For which time after the closing it is asked
        account: Name of the Cloudflare account in the settings
        archive: Name of the archive in the settings
    """
    try:
        await record_process(this_run.id)
        opened, record, proposals = await asyncio.to_thread(_read, incident, archive)
        found = await ask_drops(opened.model_copy(update={"account": account}), archive, asked)
        await show_incident(opened, record.captures if record else (), archive, record, proposals)
    except PREFECT_AWAY as error:
        return crashed(error)
    except EdgecapError as error:
        return Failed(message=str(error), data=error)
    return Completed(message=in_a_line(found), data=in_a_line(found))


def _read(incident: str, archive: str) -> tuple[IncidentEvent, Incident | None, Proposals | None]:
    incidents = Incidents(open_store(load_settings().archive(archive)))
    opened = incidents.opened(incident) or incidents.ended(incident)
    if opened is None:
        raise EntryMissing(f"unknown incident {incident!r}", where=archive)
    return opened, incidents.closed(incident), incidents.proposals(incident)
