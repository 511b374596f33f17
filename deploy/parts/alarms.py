"""The alarms, and who hears of them."""

from typing import Any

from parts.vocabulary import Json, queue_name, ref, resource, sub

from infra.settings import QUEUES


def metric(name: str, stat: str, period: int, namespace: Any = None, **dimensions: Any) -> Json:
    return {
        "Period": period,
        "Stat": stat,
        "Metric": {
            "Namespace": namespace or ref("CloudWatchNamespace"),
            "MetricName": name,
            **(
                {"Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()]}
                if dimensions
                else {}
            ),
        },
    }


def alarm(
    severity: str,
    threshold: float,
    why: str,
    expression: str | None = None,
    periods: int = 1,
    **metrics: Json,
) -> Json:
    """Fires above `threshold`, never at it. Silence is no fire: a system that is switched off must
    wake nobody, and one that died is seen by its health checks."""
    parts = [
        {"Id": name, "MetricStat": one, "ReturnData": expression is None}
        for name, one in metrics.items()
    ]
    if expression:
        parts.append({"Id": "value", "Expression": expression, "ReturnData": True})
    topic = {"critical": "CriticalAlarms", "warning": "WarningAlarms"}[severity]
    return {
        "AlarmDescription": f"{severity}: {why}",
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": threshold,
        "EvaluationPeriods": periods,
        "TreatMissingData": "notBreaching",
        "AlarmActions": [ref(topic)],
        "OKActions": [ref(topic)],
        "Metrics": parts,
    }


def alarms() -> Json:
    """The rules of `/api/monitoring/onlyfans` by the same names, the product owner's four first."""
    dead = {
        f"dead{index}": metric(
            "ApproximateNumberOfMessagesVisible",
            "Maximum",
            60,
            "AWS/SQS",
            QueueName=sub(queue_name(queue) + "-dlq"),
        )
        for index, queue in enumerate(QUEUES)
    }
    rules = {
        "queue_depth": alarm(
            "warning",
            100,
            "messages accepted and not sent yet; normal while a campaign runs",
            depth=metric("OnlyFansQueueDepth", "Maximum", 60),
        ),
        "dead_letters": alarm(
            "critical",
            10,
            "queue messages given up after five tries",
            " + ".join(f"FILL({name}, 0)" for name in dead),
            **dead,
        ),
        "failure_rate": alarm(
            "warning",
            0.05,
            "failed / (sent + failed) in the last 15 minutes, judged from 20 on",
            "IF(FILL(sent, 0) + FILL(failed, 0) >= 20,"
            " FILL(failed, 0) / (FILL(sent, 0) + FILL(failed, 0)), 0)",
            sent=metric("OnlyFansMessagesProcessed", "Sum", 900),
            failed=metric("OnlyFansMessagesFailed", "Sum", 900),
        ),
        "worker_errors": alarm(
            "critical",
            10,
            "tasks of workers that ended with an error within a minute",
            errors=metric("OnlyFansWorkerErrors", "Sum", 60),
        ),
        "lateness": alarm(
            "critical",
            60,
            "how long past its announced time the latest waiting message is, in seconds",
            late=metric("OnlyFansLateness", "Maximum", 60),
        ),
        "oldest_age": alarm(
            "critical",
            900,
            "how long the oldest direct reply of an account that sends has waited, in seconds",
            oldest=metric("OnlyFansOldestAge", "Maximum", 60),
        ),
    }
    made: Json = {
        name: resource("SNS::Topic", {"TopicName": sub("${AWS::StackName}-" + end)})
        for name, end in (("CriticalAlarms", "critical"), ("WarningAlarms", "warning"))
    }
    for topic in list(made):
        made[f"{topic}Mail"] = resource(
            "SNS::Subscription",
            {"TopicArn": ref(topic), "Protocol": "email", "Endpoint": ref("AlarmEmail")},
            Condition="TellsSomebody",
        )
    for name, rule in rules.items():
        logical = "".join(part.capitalize() for part in name.split("_")) + "Alarm"
        made[logical] = resource(
            "CloudWatch::Alarm", {"AlarmName": sub(f"${{AWS::StackName}}-{name}"), **rule}
        )
    return made
