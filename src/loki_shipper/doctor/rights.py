"""Checks the rights of a function's role with IAM's policy simulator."""

from typing import Any

from loki_shipper.deployed_functions import DeployedFunction
from loki_shipper.doctor.deployed_stack import (
    DEPLOY,
    DeployedStack,
    DoctorClients,
    logical_name,
    template_values,
)
from loki_shipper.doctor.finding import Finding, failure, ok
from loki_shipper.doctor.grants import Right, granted
from loki_shipper.template import read_template

_ROLES = {"log_files": "the role for log files"}


def rights(function: DeployedFunction, stack: DeployedStack | None) -> list[Right]:
    """List the rights that the template grants a function, one for each kind of resource."""
    role = f"{logical_name(function.kind)}Role"
    return list(dict.fromkeys(granted(read_template(), role, template_values(function, stack))))


def check_rights(
    function: DeployedFunction, stack: DeployedStack | None, clients: DoctorClients
) -> Finding:
    """Ask IAM for its decisions; it leaves out policies of buckets, keys and the organization."""
    wanted = rights(function, stack)
    actions: dict[tuple[str, tuple[tuple[str, str], ...]], list[str]] = {}
    for each in wanted:
        actions.setdefault((each.resource, each.context), []).append(each.action)
    denied = [
        f"{action} on {resource}"
        for (resource, context), some in actions.items()
        for action in denied_actions(function.role, some, resource, context, clients.iam)
    ]
    role = _ROLES.get(function.kind, f"the {function.kind}'s role")
    if denied:
        return failure("iam", f"{role} may not {', '.join(denied)}", DEPLOY)
    return ok("iam", f"{role} has all {len(wanted)} rights that it needs")


def denied_actions(
    role: str, actions: list[str], resource: str, context: tuple[tuple[str, str], ...], iam: Any
) -> list[str]:
    """Return those actions on a resource that IAM denies a role."""
    answer = iam.simulate_principal_policy(
        PolicySourceArn=role,
        ActionNames=actions,
        ResourceArns=[resource],
        ContextEntries=[
            {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
            for key, value in context
        ],
    )
    return [
        result["EvalActionName"]
        for result in answer["EvaluationResults"]
        # The simulator cannot decide a condition on a value that only the real call has.
        if result["EvalDecision"] != "allowed" and not result.get("MissingContextValues")
    ]
