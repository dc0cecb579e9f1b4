"""Checks the event source mapping of the function that reads a Kinesis stream."""

from loki_shipper.deployed_functions import DeployedFunction
from loki_shipper.doctor.deployed_stack import DEPLOY, DoctorClients
from loki_shipper.doctor.finding import Finding, failure, ok, warning

_STREAM = "stream"


def check_mapping(
    function: DeployedFunction, bucket: str | None, clients: DoctorClients
) -> Finding:
    """Check whether Lambda reads the stream, and keeps undelivered records in the bucket."""
    found = clients.functions.list_event_source_mappings(FunctionName=function.name)
    mappings = found["EventSourceMappings"]
    if not mappings:
        return failure(_STREAM, "no event source mapping reads the stream", DEPLOY)
    mapping = mappings[0]
    source, state = mapping.get("EventSourceArn", "the stream"), mapping.get("State", "Enabled")
    if state not in {"Enabled", "Creating", "Updating"}:
        advice = "enable the event source mapping in Lambda's console"
        return failure(_STREAM, f"Lambda does not read {source}: the mapping is {state}", advice)
    kept = mapping.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination", "")
    if bucket is not None and not kept.endswith(f":::{bucket}"):
        advice = f"{DEPLOY}: the on-failure destination is the bucket"
        return failure(_STREAM, "records that are not delivered are lost", advice)
    result = mapping.get("LastProcessingResult", "OK")
    if result.startswith("PROBLEM"):
        return warning(_STREAM, f"Lambda cannot read {source}: {result}", "do what it names")
    return ok(_STREAM, f"Lambda reads {source}")
