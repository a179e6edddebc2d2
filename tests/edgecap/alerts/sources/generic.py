"""Reading a body as the generic source does."""

from edgecap.alerts.sources.generic import GenericMapping, generic_source


def read(body, received, **mapping):
    """The alerts in a body, with a mapping of these fields."""
    return generic_source(GenericMapping.model_validate(mapping)).parse(body, received=received)
