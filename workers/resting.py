"""While ONLYFANS_CRM_ENABLED is off, workers rest."""

from infra.wiring import Services


def rest_if_off(services: Services) -> bool:
    """Whether the product is switched off. A task then ends at once and leaves its row alone: the
    row's wake-up stays due, and the sweep sets it going once the product is on again."""
    return not services.settings.onlyfans_crm_enabled
