"""How a template is written: its functions, and what the processes and queues are called in it."""

from pathlib import Path
from typing import Any

Json = dict[str, Any]

PROCFILE = Path(__file__).resolve().parents[2] / "Procfile"


def ref(name: str) -> Json:
    return {"Ref": name}


def sub(text: str) -> Any:
    return {"Fn::Sub": text} if "${" in text else text


def att(name: str, what: str) -> Json:
    return {"Fn::GetAtt": [name, what]}


def when(condition: str, yes: Any, no: Any) -> Json:
    return {"Fn::If": [condition, yes, no]}


NOTHING = ref("AWS::NoValue")


def words(name: str) -> str:
    """`worker-messages` -> `WorkerMessages`."""
    return "".join(part.capitalize() for part in name.split("-"))


def procfile() -> dict[str, str]:
    lines = PROCFILE.read_text(encoding="utf-8").splitlines()
    return {name: command.strip() for name, _, command in (line.partition(":") for line in lines)}


def queue_of(process: str) -> str | None:
    return process.removeprefix("worker-") if process.startswith("worker-") else None


def queue_name(queue: str) -> str:
    return "${MessagesQueueName}" if queue == "messages" else f"huntaze-{queue}"


def queue_arn(queue: str, *, dead: bool = False) -> Json:
    end = "-dlq" if dead else ""
    return sub(
        f"arn:${{AWS::Partition}}:sqs:${{AWS::Region}}:${{AWS::AccountId}}:{queue_name(queue)}{end}"
    )


def resource(kind: str, properties: Json, **more: Any) -> Json:
    return {"Type": f"AWS::{kind}", **more, "Properties": properties}


def https_only(actions: str, resources: list[Json]) -> Json:
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "HttpsOnly",
                "Effect": "Deny",
                "Principal": "*",
                "Action": actions,
                "Resource": resources,
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ],
    }
