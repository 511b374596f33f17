"""The served document against the application: whatever it allows to ask is answered as it says, and
so is what it does not allow."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.app import create_app
from infra.settings import Settings
from infra.wiring import build
from tests.crm import Crm

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
NOWHERE = Settings(
    database_url="postgresql://nowhere/none",
    redis_endpoint="127.0.0.1:1",
    sqs_rate_limiter_queue_url="http://127.0.0.1:1/0/huntaze-rate-limiter-queue",
    jwt_secret="a key of at least thirty-two bytes for tests",
)


def operations(app: Any) -> dict[str, Any]:
    """Every operation of the document that this application serves, by method and path."""
    schema = schemathesis.openapi.from_wsgi("/openapi.json", app)
    found = [result.ok() for result in schema.get_all_operations()]
    return {f"{one.method.upper()} {one.path}": one for one in found}


SERVED = operations(create_app(build(NOWHERE)))
# What nothing can be asked of wrongly has neither parameters nor a body.
ASKABLE = {name for name, one in SERVED.items() if one.body or list(one.iter_parameters())}
CASES = [
    *((name, GenerationMode.POSITIVE) for name in sorted(SERVED)),
    *((name, GenerationMode.NEGATIVE) for name in sorted(ASKABLE)),
]


@pytest.mark.parametrize(("name", "mode"), CASES)
def test_every_answer_is_documented_and_none_is_a_fault_of_ours(
    crm: Crm, name: str, mode: GenerationMode
) -> None:
    crm.fan("Alex")

    @given(case=SERVED[name].as_strategy(generation_mode=mode))
    @settings(
        max_examples=20,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
        derandomize=True,
        database=None,
    )
    def ask(case: Any) -> None:
        # An id that spells another address, as `status` does, asks for that one.
        assume("{" not in case.path or f"{case.method} {case.formatted_path}" not in SERVED)
        answer = case.call(headers=crm.bearer(), app=crm.client.application)
        case.validate_response(answer, checks=CHECKS)

    ask()
